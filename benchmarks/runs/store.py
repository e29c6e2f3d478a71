"""Where results lie: one folder a training, each file written whole, the status last.

```
results/runs/<task>-<algorithm>-<key>/
    job.json             what was asked for
    resume.pt            an unfinished training, as it was at its last checkpoint
    checkpoint.pt        the trained method
    losses.csv           progress of the training
    training.json        written last: the training is done
    evaluation-<limit>x<episodes>.json   the same for one limit; with the sha256 of options of
                                         acting behind, where they are not the defaults
    evaluations.json     a group of evaluations about to be dealt out into those files
    failure.json         why the last attempt failed; gone when an attempt begins
    lock                 held by the process that works here
results/runs/gpu-memory.json   memory that was seen, by method (`benchmarks.scheduling.devices`)
```
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from benchmarks.common.errors import UserError
from benchmarks.common.files import remove_parts, write_atomic
from benchmarks.runs.evaluation import Episode
from benchmarks.runs.jobs import Job, Training


class BusyError(Exception):
    """Another process works on the run."""


class Run:
    """The folder of one training in a store, and its evaluations under options of acting."""

    def __init__(
        self, results: Path, training: Training, acting: Mapping[str, Any] | None = None
    ) -> None:
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", f"{training.task}-{training.algorithm}")
        self.training = training
        self.folder = results.joinpath("runs", f"{name}-{training.key[:16]}")
        self._acting = ""
        if acting:
            canonical = json.dumps(acting, sort_keys=True, separators=(",", ":"))
            self._acting = f"-{hashlib.sha256(canonical.encode()).hexdigest()[:16]}"

    @staticmethod
    def of(job: Job) -> Run:
        """Where a job's results lie."""
        return Run(Path(job.results), job.training, job.eval_options)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep every other process off this run; `BusyError` if one is at work on it.

        The system frees the lock when this process dies, however it does.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / "lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise BusyError(f"another process works on {self.folder}") from None
        try:
            yield
        finally:
            lock.release()

    @property
    def busy(self) -> bool:
        """Whether another process works on this run at this moment."""
        if not (self.folder / "lock").exists():
            return False
        try:
            with self.held():
                return False
        except BusyError:
            return True
        except OSError:  # whoever works there will say what is wrong with the disk
            return False

    @property
    def trained(self) -> bool:
        """Whether the training is done."""
        return (self.folder / "training.json").exists()

    def begin(self) -> None:
        """Start an attempt: clear what a killed one left, and write down what is asked for."""
        remove_parts(self.folder)
        (self.folder / "failure.json").unlink(missing_ok=True)
        self._deal_out()
        if self.trained:
            (self.folder / "resume.pt").unlink(missing_ok=True)
        asked = json.dumps(asdict(self.training), indent=1)
        path = self.folder / "job.json"
        if not path.exists() or path.read_text() != asked:
            write_atomic(path, asked)

    def save_progress(self, progress: Mapping[str, Any]) -> None:
        """Keep an unfinished training: plain values and tensors."""
        _save(progress, self.folder / "resume.pt")

    def saved_progress(self) -> dict[str, Any] | None:
        """What `save_progress` kept last; None if there is nothing that can be read."""
        with suppress(Exception):  # damaged by something else than us: as good as none
            return _load(self.folder / "resume.pt")
        return None

    def finish_training(self, state: Mapping[str, Any], summary: Mapping[str, Any]) -> None:
        """Keep the checkpoint, then say that the training is done."""
        _save(state, self.folder / "checkpoint.pt")
        write_atomic(self.folder / "training.json", json.dumps(summary, indent=1))
        (self.folder / "resume.pt").unlink(missing_ok=True)

    def training_summary(self) -> dict[str, Any]:
        """What `finish_training` was told."""
        return self._read(self.folder / "training.json")

    def checkpoint(self) -> dict[str, Any]:
        """The state of the trained method; it cannot run code when read."""
        path = self.folder / "checkpoint.pt"
        try:
            return _load(path)
        except Exception as error:
            raise UserError(
                f"{path} cannot be read ({type(error).__name__}): delete its folder and run again"
            ) from None

    def _evaluation(self, limit: float, episodes: int) -> Path:
        return self.folder / f"evaluation-{limit:.10g}x{episodes}{self._acting}.json"

    def evaluated(self, limit: float, episodes: int) -> bool:
        """Whether the evaluation at this limit is done."""
        return self._evaluation(limit, episodes).exists()

    def finish_evaluations(self, episodes: list[Episode], seconds: float) -> None:
        """Keep the raw episodes of the limits that were evaluated together: all or none.

        What is left to evaluate is evaluated together again, and the last bit of an action may
        depend on what it is computed beside: a crash must not split a group.
        """
        by_limit: dict[float, list[Episode]] = {}
        for episode in episodes:
            by_limit.setdefault(episode.limit, []).append(episode)
        group = [
            {
                "limit": limit,
                "episodes": [one._asdict() for one in own],
                "seconds": seconds / len(by_limit),
                "file": self._evaluation(limit, len(own)).name,
            }
            for limit, own in by_limit.items()
        ]
        write_atomic(self.folder / "evaluations.json", json.dumps(group))
        self._deal_out()

    def _deal_out(self) -> None:
        """Give each evaluation of a finished group its own file."""
        path = self.folder / "evaluations.json"
        if path.exists():
            for one in json.loads(path.read_text()):
                # it may be of other options of acting; `name` keeps it in this folder
                target = self.folder / Path(one["file"]).name
                if not target.exists():
                    write_atomic(target, json.dumps(one, indent=1))
            path.unlink()

    def episodes(self, limit: float, count: int) -> list[Episode]:
        """The episodes of a finished evaluation."""
        path = self._evaluation(limit, count)
        return [Episode(**row) for row in self._read(path)["episodes"]]

    def evaluation_seconds(self, limit: float, count: int) -> float:
        """How long a finished evaluation took."""
        return float(self._read(self._evaluation(limit, count))["seconds"])

    def fail(self, reason: str, traceback: str, *, interrupted: bool = False) -> None:
        """Record why this run did not finish; an interrupted one is taken up again by itself.

        Where the disk takes nothing any more, whoever runs the job has to say so.
        """
        content = {"reason": reason, "traceback": traceback, "interrupted": interrupted}
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomic(self.folder / "failure.json", json.dumps(content, indent=1))

    def failure(self) -> dict[str, Any] | None:
        """Why the last attempt failed, if it did."""
        path = self.folder / "failure.json"
        return self._read(path) if path.exists() else None

    @staticmethod
    def _read(path: Path) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read ({error}): delete it and run again") from None
        return content


def _save(state: Mapping[str, Any], path: Path) -> None:
    torch.save(dict(state), buffer := io.BytesIO())  # so that a full disk is an OSError
    write_atomic(path, buffer.getvalue())


def _load(path: Path) -> dict[str, Any]:
    """A file of `_save`; it cannot run code."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def open_jobs(job: Job) -> list[float]:
    """The limits of `job` that are not evaluated yet."""
    run = Run.of(job)
    return [limit for limit in job.limits if not run.evaluated(limit, job.episodes)]


def is_done(job: Job) -> bool:
    """Whether nothing of `job` is left to do."""
    run = Run.of(job)
    if job.stage == "train":
        return run.trained
    return not open_jobs(job)
