"""Live progress of a run: finished jobs, running jobs, and the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence

from tqdm import tqdm

from benchmarks.common.durations import duration_text
from benchmarks.common.interrupts import stop_on_interrupt
from benchmarks.runs.jobs import Job
from benchmarks.runs.store import Run
from benchmarks.scheduling.protocol import Event
from benchmarks.scheduling.scheduler import Scheduler


def run_jobs(
    scheduler: Scheduler, jobs: Sequence[Job], verbosity: int = 0
) -> tuple[list[Event], bool]:
    """Run `jobs` and show their progress; return the unsuccessful ones, and whether it was stopped.

    `verbosity` is -1 for no output, 1 for lines of unfinished jobs as well.

    Ctrl-C and SIGTERM stop the run in an orderly way (`stop_on_interrupt`).
    """
    with stop_on_interrupt() as stop_requested:
        events = scheduler.run(jobs, stop_requested)
        lost = show_progress(events, jobs, scheduler.devices.count, verbosity)
        return lost, stop_requested()


def show_progress(
    events: Iterable[Event], jobs: Sequence[Job], slots: int, verbosity: int = 0
) -> list[Event]:
    """Print a line for each finished job as `events` arrive; return the unsuccessful ones.

    With a `verbosity` of 1 also a line where a job begins, at each quarter of its training, and
    where its evaluation begins; with -1 none.

    The time left is estimated from the work done so far, weighted by the jobs' expected times.
    """
    total = sum(job.core_seconds for job in jobs)
    done, fractions = 0.0, dict[str, float]()
    start, unsuccessful, finished = time.monotonic(), list[Event](), 0
    live = bool(jobs) and sys.stderr.isatty() and verbosity >= 0
    quarters = dict[str, float]()
    with tqdm(total=100.0, disable=not live, bar_format="{l_bar}{bar}| {desc}") as bar:
        for event in events:
            key, line = event.job.training.key, ""
            if event.phase in ("train", "evaluate"):
                fractions[key] = 0.9 * event.progress if event.phase == "train" else 0.9
                quarter = int(4 * event.progress) / 4 if event.phase == "train" else 2.0
                if verbosity > 0 and quarter > quarters.get(key, -1.0):
                    quarters[key] = quarter
                    line = f"[-/{len(jobs)}] {describe(event)}"
                    line += f" {quarter:.0%}" if event.phase == "train" else ""
            elif event.phase in ("retry", "waiting"):
                line = f"[-/{len(jobs)}] {describe(event)}"
            else:
                finished += 1
                fractions.pop(key, None)
                done += event.job.core_seconds
                if event.phase != "done":
                    unsuccessful.append(event)
                line = f"[{finished}/{len(jobs)}] {describe(event)}"
            running = sum(fractions.get(job.training.key, 0.0) * job.core_seconds for job in jobs)
            fraction = min((done + running) / total, 1.0) if total else 1.0
            elapsed = time.monotonic() - start
            left = elapsed * (1 - fraction) / fraction if fraction > 0.01 else total / slots
            estimate = f"{duration_text(left)} left"
            if line and verbosity >= 0:
                bar.write(line if live else f"{line}, {estimate}", file=sys.stdout)
                sys.stdout.flush()
            bar.set_description_str(f"{finished}/{len(jobs)} jobs, {estimate}", False)
            bar.update(100 * fraction - bar.n)
    return unsuccessful


def print_failures(unsuccessful: Sequence[Event], halt_reason: str, remedy: str) -> None:
    """Print the unsuccessful jobs, the files that tell why, and the remedy, on standard error.

    `halt_reason` tells why no more jobs were started, if so (`Scheduler.halt_reason`).
    """
    for event in unsuccessful:
        print(describe(event), file=sys.stderr)
    failed = [event.job for event in unsuccessful if event.phase == "failed"]
    if failed:
        paths = [str(Run.of(job).folder) for job in failed]
        print(
            f"{len(failed)} jobs failed: see failure.json in {', '.join(paths[:3])}"
            f"{' and others' if len(paths) > 3 else ''}; {remedy} runs them again",
            file=sys.stderr,
        )
    if halt_reason:
        print(
            f"no more jobs were started ({halt_reason}): repair that, e.g. free disk space, and "
            "repeat the command",
            file=sys.stderr,
        )


def describe(event: Event) -> str:
    """One line about a job that ended or will be retried."""
    training = event.job.training
    limit = "" if training.limit is None else f" limit {training.limit:g}"
    name = f"{training.task} {event.job.display_name}{limit} seed {training.seed}"
    phase = "will be retried" if event.phase == "retry" else event.phase
    return f"{name}: {phase}" + (f" ({event.reason})" if event.reason else "")
