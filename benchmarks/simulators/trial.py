"""Tries the simulators of users' tasks, each in a process of its own.

Whatever such a simulator does, to leave threads behind, to exit or to crash, it does not do it in
the process that runs the command.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from benchmarks.common.ending import END_SECONDS, kill_group
from benchmarks.common.errors import UserError, describe
from benchmarks.common.os_env import import_path
from benchmarks.common.program import as_program
from benchmarks.simulators.simulator import Simulator, require_simulators, take_first_step
from benchmarks.tasks.tasks import Task

_TRIAL = (sys.executable, "-m", "benchmarks.simulators.trial")
_NOTE_SECONDS = 10.0
"""Time after which a first step that takes long is told."""
_MOST_SECONDS = 600.0
"""Time that a simulator has for its first step."""


def require_simulators_of(tasks: Iterable[Task]) -> None:
    """Raise `UserError` if a task's simulator is missing, or if a user's own simulator fails."""
    tasks = list(tasks)
    for engine in dict.fromkeys(task.engine for task in tasks):
        require_simulators(engine)
    for task in tasks:
        if task.engine == "gymnasium":
            _try_apart(task)


def _try_apart(task: Task) -> None:
    """Raise `UserError` if the simulator of a user's task fails in its first step."""
    trial = subprocess.Popen(
        _TRIAL,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **import_path()},
        start_new_session=True,
    )
    assert trial.stdin is not None
    assert trial.stdout is not None
    waiting = f"{task.file}: waiting for the first step of simulator {task.simulator}"
    note = threading.Timer(_NOTE_SECONDS, print, (waiting,), {"file": sys.stderr})
    limit = threading.Timer(_MOST_SECONDS, kill_group, (trial.pid,))
    for timer in (note, limit):
        timer.daemon = True
        timer.start()
    try:
        with suppress(OSError):  # it has died: its exit status tells why
            trial.stdin.write(json.dumps(asdict(task)))
            trial.stdin.close()
        verdict = trial.stdout.readline()
        with suppress(subprocess.TimeoutExpired):  # it may take its time to close
            trial.wait(END_SECONDS if verdict else None)
    finally:
        note.cancel()
        limit.cancel()
        kill_group(trial.pid)
        trial.wait()
    if not verdict:
        raise UserError(
            f"{task.file}: simulator {task.simulator} fails in its first step: it ends its "
            f"process (status {trial.returncode}) or takes over {_MOST_SECONDS:g} seconds"
        )
    if fault := json.loads(verdict):
        raise UserError(fault)


def main() -> int:
    """Try the task that is given on standard input as JSON; write its fault to standard output."""
    facts: dict[str, Any] = json.loads(sys.stdin.read())
    verdicts = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what the simulator prints is no verdict
    simulator, fault = Simulator(Task(**facts)), ""
    try:
        take_first_step(simulator)
    except UserError as error:
        fault = str(error)
    except BaseException as error:
        fault = describe(error)
    os.write(verdicts, f"{json.dumps(fault)}\n".encode())
    with suppress(BaseException):
        simulator.close()
    return 0


if __name__ == "__main__":
    as_program(main)
