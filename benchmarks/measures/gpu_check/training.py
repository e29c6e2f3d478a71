"""The check's training stage: GAS on two tasks, three seeds as one, for the time that there is.

The number of updates is chosen by the speed of this machine and kept in `training/plan.json`, so
that the next call goes on with the same trainings. They lie in the store `training/runs`, whose
checkpoints `python -m benchmarks.evaluate` evaluates on a machine with simulators.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from multiprocessing import get_context
from typing import NoReturn

import torch

from benchmarks.common.errors import exit_status
from benchmarks.common.files import write_atomic
from benchmarks.measures.gpu_check.setting import TASKS, Setting, setting
from benchmarks.measures.gpu_check.stages import NOTHING_TO_DO
from benchmarks.measures.stacks import seeds_update
from benchmarks.methods.algorithm import LOG_EVERY
from benchmarks.methods.registry import configure, find_method

METHOD, SEEDS = "gas", (0, 1, 2)
_SECONDS = 130.0
"""Time for updates; the stage's other time goes to starting, measuring and saving."""
_MEASURED_SECONDS = 4.0
_SHARE = 0.85
"""Share of the time that is planned for, as the measured speed varies."""
_REHEARSED_UPDATES = 20


def command(asked: Setting) -> list[str]:
    """Arguments of Python for the trainings of this stage."""
    data = asked.data or "generated"
    folder = asked.out / "training"
    if asked.data_set(TASKS[0]) is None:
        data = str(folder / "data")
        for name in TASKS:
            loaded, task = asked.trajectories(name)
            path = folder / "data" / task.dataset_file
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                loaded.save(path)
    return [
        *("-m", "benchmarks.run", "--suite", "tight", "--stage", "train"),
        *("--tasks", *TASKS, "--algorithms", METHOD, "--seeds", *map(str, SEEDS)),
        *("--seeds-per-job", str(len(SEEDS)), "--budget", asked.budget),
        *("--updates", str(planned_updates(asked)), "--device", asked.device),
        *("--workers", str(len(TASKS)), "--data", data, "--checkpoint-seconds", "30"),
        *("--results", str(folder), "--name", "check", "--retry-failed"),
    ]


def planned_updates(asked: Setting) -> int:
    """As many updates as fit into the time, by a measurement of all trainings at once."""
    path = asked.out / "training" / "plan.json"
    if path.exists():
        return int(json.loads(path.read_text())["updates"])
    plan: dict[str, object] = {"updates": _REHEARSED_UPDATES}
    if not asked.rehearsal:
        each = max(_together(asked))
        _, most = configure(find_method(METHOD).cls, asked.budget, {}, {})
        fitting = int(_SHARE * _SECONDS / each) // LOG_EVERY * LOG_EVERY
        plan = {"updates": min(max(fitting, LOG_EVERY), most), "update_ms": 1e3 * each}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps({**plan, "seeds": len(SEEDS), "tasks": list(TASKS)}) + "\n")
    return int(str(plan["updates"]))


def _together(asked: Setting) -> list[float]:
    """Seconds of an update of each task's stack while the others are trained, too."""
    context = get_context("spawn")
    ready = context.Barrier(len(TASKS))
    with context.Pool(len(TASKS), initializer=_share_barrier, initargs=(ready,)) as pool:
        return pool.starmap(_seconds, [(asked, name) for name in TASKS], chunksize=1)


def _share_barrier(ready: object) -> None:
    global _ready
    _ready = ready


_ready: object = None


def _seconds(asked: Setting, name: str) -> float:
    """Seconds of an update of a task's stack, over `_MEASURED_SECONDS`."""
    torch.set_num_threads(1)
    data, task = asked.trajectories(name)
    seeds = len(SEEDS)
    work = seeds_update(METHOD, data, task, budget=asked.budget, seeds=seeds, device=asked.device)
    work(10 * seeds)
    _ready.wait(60)  # type: ignore[attr-defined]
    start, updates = time.perf_counter(), 0
    while time.perf_counter() - start < _MEASURED_SECONDS:
        work(20 * seeds)
        updates += 20
    return (time.perf_counter() - start) / updates


def _become(words: Sequence[str]) -> NoReturn:
    """Go on as another program, which so gets the request to stop when the time is over."""
    print(" ".join(words), flush=True)
    os.execv(sys.executable, [sys.executable, *words])


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit status of the trainings."""

    def work() -> int:
        asked = setting("training", arguments)
        if not asked.rehearsal and any(asked.data_set(name) is None for name in TASKS):
            print(f"needs data of {' and '.join(TASKS)}: carry them here, or generate them")
            return NOTHING_TO_DO
        _become(command(asked))

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
