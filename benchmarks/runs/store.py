"""The store of results: one folder for each training, every file written atomically, status last.

```
results/runs/<task>-<algorithm>-<key>/
    job.json             the training (`Training`)
    resume.pt            the last checkpoint of an unfinished training
    checkpoint.pt        the trained method
    losses.csv           logged losses
    training.json        written last: the training is done
    evaluation-<limit>x<episodes>.json   written last: the evaluation at one limit is done; the name
                                         ends in a hash of the options of evaluation, if any
    evaluations.json     evaluations of several limits, about to be split into those files
    failure.json         why the last attempt failed; deleted when another attempt begins
    lock                 held by the process that works on this run
    lock.json            which process that is or was, and since when
results/runs/gpu-memory.json   observed GPU memory of methods (`benchmarks.scheduling.devices`)
```
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.common.errors import UserError
from benchmarks.common.files import remove_parts, write_atomic
from benchmarks.common.locks import HeldError, NoLocksError, clock, locked
from benchmarks.runs.evaluation import Episode
from benchmarks.runs.jobs import Job, Training


class BusyError(Exception):
    """Another process works on the run."""


class Run:
    """One training's folder and its evaluations with one set of evaluation options."""

    def __init__(
        self, results: Path, training: Training, acting: Mapping[str, Any] | None = None
    ) -> None:
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", f"{training.task}-{training.algorithm}")
        self.training = training
        self.folder = results.joinpath("runs", f"{name}-{training.key[:16]}")
        self._options_suffix = ""
        if acting:
            canonical = json.dumps(acting, sort_keys=True, separators=(",", ":"))
            self._options_suffix = f"-{hashlib.sha256(canonical.encode()).hexdigest()[:16]}"

    @staticmethod
    def of(job: Job) -> Run:
        """The run of a job."""
        return Run(Path(job.results), job.training, job.eval_options)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the run for this process; `BusyError` if another process has locked it.

        The operating system releases the lock when this process dies, whatever the cause.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self.folder / "lock"))
            except HeldError:
                raise BusyError(f"another process works on {self.folder}") from None
            yield

    def holder(self) -> str:
        """The process that works on this run, in words, as its last attempt recorded it."""
        facts = _facts(self.folder / "lock.json")
        try:
            who = f"process {facts['pid']} on {facts['machine']}, at work"
            return f"{who} since {clock(facts['since'])}, holds {self.folder / 'lock'}"
        except (KeyError, TypeError, ValueError, OverflowError, OSError):
            return f"another process holds {self.folder / 'lock'}"

    @property
    def busy(self) -> bool:
        """Whether another process works on this run now."""
        if not (self.folder / "lock").exists():
            return False
        try:
            with self.locked():
                return False
        except BusyError:
            return True
        except (OSError, NoLocksError):  # the process that runs the job will report it
            return False

    @property
    def trained(self) -> bool:
        """Whether the training is done."""
        return (self.folder / "training.json").exists()

    def begin_attempt(self) -> None:
        """Start an attempt: remove the leftovers of a killed one and write job.json."""
        remove_parts(self.folder)
        (self.folder / "failure.json").unlink(missing_ok=True)
        self._split_evaluations()
        holder = {"pid": os.getpid(), "machine": platform.node(), "since": time.time()}
        write_atomic(self.folder / "lock.json", json.dumps(holder))
        if self.trained:
            (self.folder / "resume.pt").unlink(missing_ok=True)
        content = json.dumps(asdict(self.training), indent=1)
        path = self.folder / "job.json"
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            write_atomic(path, content)

    def save_progress(self, progress: Mapping[str, Any]) -> None:
        """Store the checkpoint of an unfinished training: plain values and tensors."""
        _save(progress, self.folder / "resume.pt")

    def saved_progress(self) -> dict[str, Any] | None:
        """The checkpoint of `save_progress`; None if it is missing or damaged."""
        with suppress(Exception):  # a damaged file may raise anything
            return _load(self.folder / "resume.pt")
        return None

    def finish_training(self, state: Mapping[str, Any], summary: Mapping[str, Any]) -> None:
        """Store the trained method, then mark the training as done."""
        _save(state, self.folder / "checkpoint.pt")
        write_atomic(self.folder / "training.json", json.dumps(summary, indent=1))
        (self.folder / "resume.pt").unlink(missing_ok=True)

    def training_summary(self) -> dict[str, Any]:
        """The summary that `finish_training` stored."""
        return self._read(self.folder / "training.json")

    def checkpoint(self) -> dict[str, Any]:
        """The state of the trained method; loading it runs no code."""
        path = self.folder / "checkpoint.pt"
        try:
            return _load(path)
        except Exception as error:
            raise UserError(
                f"{path} cannot be read ({type(error).__name__}): delete its folder and run again"
            ) from None

    def _evaluation(self, limit: float, episodes: int) -> Path:
        return self.folder / f"evaluation-{limit:.10g}x{episodes}{self._options_suffix}.json"

    def evaluated(self, limit: float, episodes: int) -> bool:
        """Whether the evaluation at this limit is done."""
        return self._evaluation(limit, episodes).exists()

    def finish_evaluations(self, episodes: list[Episode], seconds: float) -> None:
        """Store the episodes of all limits that were evaluated as one batch: all or none.

        The last bit of an action may depend on the other rows of its batch. If a crash stored a
        part of the limits, the rest would be evaluated in another batch.
        """
        by_limit: dict[float, list[Episode]] = {}
        for episode in episodes:
            if not episode.finite:
                raise ValueError(f"an episode with a return or cost that is no number: {episode}")
            by_limit.setdefault(episode.limit, []).append(episode)
        group = [
            {
                "limit": limit,
                "episodes": [episode._asdict() for episode in at_limit],
                "seconds": seconds / len(by_limit),
                "file": self._evaluation(limit, len(at_limit)).name,
            }
            for limit, at_limit in by_limit.items()
        ]
        write_atomic(self.folder / "evaluations.json", json.dumps(group))
        self._split_evaluations()

    def _split_evaluations(self) -> None:
        """Split the evaluations of a finished batch into one file for each limit."""
        path = self.folder / "evaluations.json"
        if path.exists():
            for evaluation in json.loads(path.read_text(encoding="utf-8")):
                # Evaluation options may differ from ours; `.name` keeps the file in this folder.
                target = self.folder / Path(evaluation["file"]).name
                if not target.exists():
                    write_atomic(target, json.dumps(evaluation, indent=1))
            path.unlink()

    def episodes(self, limit: float, count: int) -> list[Episode]:
        """The episodes of a finished evaluation."""
        path = self._evaluation(limit, count)
        return [Episode(**row) for row in self._read(path)["episodes"]]

    def evaluation_seconds(self, limit: float, count: int) -> float:
        """Duration of a finished evaluation."""
        return float(self._read(self._evaluation(limit, count))["seconds"])

    def record_failure(self, reason: str, traceback: str, *, interrupted: bool = False) -> None:
        """Record why this run did not finish; the next command resumes interrupted runs.

        Nothing is recorded if the disk cannot be written: the caller must report the failure.
        """
        content = {"reason": reason, "traceback": traceback, "interrupted": interrupted}
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomic(self.folder / "failure.json", json.dumps(content, indent=1))

    def failure(self) -> dict[str, Any] | None:
        """The record of the last attempt's failure; None if it did not fail."""
        path = self.folder / "failure.json"
        return self._read(path) if path.exists() else None

    @staticmethod
    def _read(path: Path) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read ({error}): delete it and run again") from None
        return content


def _facts(path: Path) -> dict[str, Any]:
    """The contents of a file that nothing depends on; empty if it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _save(state: Mapping[str, Any], path: Path) -> None:
    torch.save(dict(state), buffer := io.BytesIO())  # torch would raise no OSError for a full disk
    write_atomic(path, buffer.getvalue())


def _load(path: Path) -> dict[str, Any]:
    """Load a file of `_save`; `weights_only` keeps it from running code."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def pending_limits(job: Job) -> list[float]:
    """The limits of `job` that are not evaluated yet."""
    run = Run.of(job)
    return [limit for limit in job.limits if not run.evaluated(limit, job.episodes)]


def is_done(job: Job) -> bool:
    """Whether all stages of `job` are done."""
    run = Run.of(job)
    if job.stage == "train":
        return run.trained
    return not pending_limits(job)
