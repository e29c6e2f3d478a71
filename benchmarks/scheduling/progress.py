"""Live progress of a run: what is done, what runs, how long it will take."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence

from tqdm import tqdm

from benchmarks.common.interrupts import two_steps
from benchmarks.runs.jobs import Job
from benchmarks.runs.store import Run
from benchmarks.scheduling.protocol import Event
from benchmarks.scheduling.scheduler import Scheduler


def work_off(scheduler: Scheduler, jobs: Sequence[Job]) -> tuple[list[Event], bool]:
    """Let `scheduler` do `jobs` and `follow` it; what did not succeed, and whether it was stopped.

    Ctrl-C and SIGTERM stop it in good order (`two_steps`).
    """
    with two_steps() as stopping:
        return follow(scheduler.run(jobs, stopping), jobs, scheduler.places.count), stopping()


def follow(events: Iterable[Event], jobs: Sequence[Job], slots: int) -> list[Event]:
    """Show `events` as they come, a line an ended job; those of jobs that did not succeed.

    The time left is estimated from the work done so far, weighted by the jobs' expected times.
    """
    total = sum(job.core_seconds for job in jobs)
    done, shares = 0.0, dict[str, float]()
    start, lost, ended = time.monotonic(), list[Event](), 0
    live = bool(jobs) and sys.stderr.isatty()
    with tqdm(total=100.0, disable=not live, bar_format="{l_bar}{bar}| {desc}") as bar:
        for event in events:
            key, line = event.job.training.key, ""
            if event.phase in ("train", "evaluate"):
                shares[key] = 0.9 * event.share if event.phase == "train" else 0.9
            elif event.phase == "again":
                line = f"[-/{len(jobs)}] {describe(event)}"
            else:
                ended += 1
                shares.pop(key, None)
                done += event.job.core_seconds
                if event.phase != "done":
                    lost.append(event)
                line = f"[{ended}/{len(jobs)}] {describe(event)}"
            running = sum(shares.get(job.training.key, 0.0) * job.core_seconds for job in jobs)
            part = min((done + running) / total, 1.0) if total else 1.0
            elapsed = time.monotonic() - start
            left = elapsed * (1 - part) / part if part > 0.01 else total / slots
            estimate = f"{left / 60:.1f} min left"
            if line:
                bar.write(line if live else f"{line}, {estimate}", file=sys.stdout)
                sys.stdout.flush()
            bar.set_description_str(f"{ended}/{len(jobs)} jobs, {estimate}", False)
            bar.update(100 * part - bar.n)
    return lost


def summarise(lost: Sequence[Event], halted: str, remedy: str) -> None:
    """Print on standard error what did not succeed, where to read why, and the remedy.

    `halted` says why no more jobs were started, if so (`Scheduler.halted`).
    """
    for event in lost:
        print(describe(event), file=sys.stderr)
    failed = [event.job for event in lost if event.phase == "failed"]
    if failed:
        paths = [str(Run.of(job).folder) for job in failed]
        print(
            f"{len(failed)} jobs failed: failure.json in {', '.join(paths[:3])}"
            f"{' and others' if len(paths) > 3 else ''} says why; {remedy} runs them again",
            file=sys.stderr,
        )
    if halted:
        print(
            f"no more jobs were started ({halted}): make room, and run the same command again",
            file=sys.stderr,
        )


def describe(event: Event) -> str:
    """One line on a job that ended, or that will be tried again."""
    training = event.job.training
    limit = "" if training.limit is None else f" limit {training.limit:g}"
    name = f"{training.task} {event.job.display_name}{limit} seed {training.seed}"
    phase = "tried again" if event.phase == "again" else event.phase
    return f"{name}: {phase}" + (f" ({event.reason})" if event.reason else "")
