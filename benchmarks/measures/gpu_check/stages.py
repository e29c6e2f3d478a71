"""Runs stages with a time budget each; what is finished is kept, and not done again.

Every stage is a process of its own. After each stage its record is written to `<stage>.json` in the
output folder, and its output to `<stage>.log`. A stage that is cut off at its time budget keeps the
parts that it has written, and goes on with what is missing in the next call.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from benchmarks.common.errors import UserError
from benchmarks.common.files import write_atomic

GRACE_SECONDS = 10.0
"""Time that a stage has to save its progress after its time budget."""
NOTHING_TO_DO = 77
"""Exit status of a stage that cannot run here; the last line of its output says why."""
_LEAST_SECONDS = 5.0
"""A stage is not started with less time left."""


class Status(StrEnum):
    """How a stage ended."""

    PASSED = "passed"
    FAILED = "failed"
    CUT_OFF = "cut off"
    SKIPPED = "skipped"
    NOT_STARTED = "not started"


@dataclass(frozen=True)
class Stage:
    """A part of the check."""

    name: str
    seconds: float
    """Its time budget."""
    command: tuple[str, ...]
    """Arguments of Python."""
    needs: tuple[str, ...] = ()
    """Modules without which the stage cannot run."""


@dataclass(frozen=True)
class Record:
    """The outcome of a stage, as its file holds it."""

    stage: str
    status: Status
    seconds: float
    reason: str
    """Why it did not pass; empty if it did."""
    device: str

    @staticmethod
    def read(path: Path) -> Record | None:
        """The record in `path`; None if it is missing or damaged."""
        try:
            content = json.loads(path.read_text())
            return Record(**{**content, "status": Status(content["status"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None


def run_stages(
    stages: Sequence[Stage],
    folder: Path,
    device: str,
    *,
    seconds: float,
    skip: Collection[str] = (),
    missing: Callable[[str], bool] = lambda module: False,
    environment: Mapping[str, str] | None = None,
    report: Callable[[str], None] = print,
) -> list[Record]:
    """Run the stages that have not passed yet, in `seconds` at most; the records of all.

    `missing` tells which modules are not installed. Raises `UserError` if `folder` holds results of
    another device.
    """
    _require_device(stages, folder, device)
    end = time.monotonic() + seconds
    records = []
    for stage in stages:
        path = folder / f"{stage.name}.json"
        before = Record.read(path)
        if before is not None and before.status is Status.PASSED:
            report(f"{stage.name}: passed in an earlier call")
            records.append(before)
            continue
        lacking = [module for module in stage.needs if missing(module)]
        left = min(stage.seconds, end - time.monotonic())
        if stage.name in skip:
            record = Record(stage.name, Status.SKIPPED, 0.0, "asked for by --skip", device)
        elif lacking:
            reason = f"needs {', '.join(lacking)}, not installed here"
            record = Record(stage.name, Status.SKIPPED, 0.0, reason, device)
        elif left < _LEAST_SECONDS:
            reason = "no time left: the next call does it"
            record = Record(stage.name, Status.NOT_STARTED, 0.0, reason, device)
        else:
            report(f"{stage.name}: at most {left:.0f} s")
            record = _run(stage, folder, device, left, environment)
        if before is None or record.status not in (Status.SKIPPED, Status.NOT_STARTED):
            write_atomic(path, json.dumps(asdict(record), indent=1) + "\n")
        report(f"{stage.name}: {record.status}{f' ({record.reason})' if record.reason else ''}")
        records.append(record)
    return records


def stop_at_sigterm() -> None:
    """Let SIGTERM end this process as Ctrl-C does: it ends the running stage, too."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


def _require_device(stages: Sequence[Stage], folder: Path, device: str) -> None:
    for stage in stages:
        before = Record.read(folder / f"{stage.name}.json")
        if before is not None and before.device != device:
            raise UserError(
                f"{folder} holds results of {before.device}, not of {device}: "
                "choose another folder with --out"
            )


def _run(
    stage: Stage, folder: Path, device: str, seconds: float, environment: Mapping[str, str] | None
) -> Record:
    """Run a stage to its end or for `seconds`."""
    start = time.monotonic()
    status, log = Status.CUT_OFF, folder / f"{stage.name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *stage.command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        try:
            ended = process.wait(seconds)
            outcomes = {0: Status.PASSED, NOTHING_TO_DO: Status.SKIPPED}
            status = outcomes.get(ended, Status.FAILED)
        except subprocess.TimeoutExpired:
            pass
        finally:
            _end(process)
    spent = time.monotonic() - start
    reasons = {
        Status.PASSED: "",
        Status.FAILED: f"exit status {process.returncode}, {log.name}: {_last_line(log)}",
        Status.SKIPPED: _last_line(log),
        Status.CUT_OFF: f"not finished within {seconds:.0f} s: the next call goes on",
    }
    return Record(stage.name, status, round(spent, 1), reasons[status], device)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to stop, and end what is left of it and of its children."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "no output")[:300]
