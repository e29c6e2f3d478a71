"""Where results lie: one folder a training, each file written whole, the status last.

```
results/runs/<task>-<algorithm>-<key>/
    job.json             what was asked for
    checkpoint.pt        the trained method
    losses.csv           progress of the training
    training.json        written last: the training is done
    evaluation-<limit>x<episodes>.json   the same for one limit
    failure.json         why the last attempt failed; gone when an attempt succeeds
```
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from benchmarks.errors import UserError
from benchmarks.files import replacing, write_atomic
from benchmarks.jobs import Job, Training
from benchmarks.rollout import Episode


class Run:
    """The folder of one training in a store."""

    def __init__(self, results: Path, training: Training) -> None:
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", f"{training.task}-{training.algorithm}")
        self.training = training
        self.folder = results / "runs" / f"{name}-{training.key[:16]}"

    def lock(self) -> FileLock:
        """Held by the process that works on this run; freed by the system when it dies."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return FileLock(self.folder / "lock")

    @property
    def trained(self) -> bool:
        """Whether the training is done."""
        return (self.folder / "training.json").exists()

    def begin(self, job: Job) -> None:
        """Write down what is asked for."""
        write_atomic(self.folder / "job.json", json.dumps(asdict(job.training), indent=1))

    def finish_training(self, state: Mapping[str, Any], summary: Mapping[str, Any]) -> None:
        """Keep the checkpoint, then say that the training is done."""
        with replacing(self.folder / "checkpoint.pt") as part:
            torch.save(state, part)
        write_atomic(self.folder / "training.json", json.dumps(summary, indent=1))

    def training_summary(self) -> dict[str, Any]:
        """What `finish_training` was told."""
        return self._read(self.folder / "training.json")

    def checkpoint(self) -> dict[str, Any]:
        """The state of the trained method; it cannot run code when read."""
        path = self.folder / "checkpoint.pt"
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise UserError(
                f"{path} cannot be read ({type(error).__name__}): delete its folder and run again"
            ) from None
        return state

    def _evaluation(self, limit: float, episodes: int) -> Path:
        return self.folder / f"evaluation-{limit:.10g}x{episodes}.json"

    def evaluated(self, limit: float, episodes: int) -> bool:
        """Whether the evaluation at this limit is done."""
        return self._evaluation(limit, episodes).exists()

    def finish_evaluation(self, limit: float, episodes: list[Episode], seconds: float) -> None:
        """Keep the raw returns and costs of the episodes at one limit."""
        rows = [episode._asdict() for episode in episodes]
        content = json.dumps({"limit": limit, "episodes": rows, "seconds": seconds}, indent=1)
        write_atomic(self._evaluation(limit, len(rows)), content)

    def episodes(self, limit: float, count: int) -> list[Episode]:
        """The episodes of a finished evaluation."""
        path = self._evaluation(limit, count)
        return [Episode(**row) for row in self._read(path)["episodes"]]

    def evaluation_seconds(self, limit: float, count: int) -> float:
        """How long a finished evaluation took."""
        return float(self._read(self._evaluation(limit, count))["seconds"])

    def fail(self, reason: str, traceback: str, *, interrupted: bool = False) -> None:
        """Record why this run did not finish; an interrupted one is taken up again by itself."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {"reason": reason, "traceback": traceback, "interrupted": interrupted}
        write_atomic(self.folder / "failure.json", json.dumps(content, indent=1))

    def failure(self) -> dict[str, Any] | None:
        """Why the last attempt failed, if it did."""
        path = self.folder / "failure.json"
        return self._read(path) if path.exists() else None

    def forget_failure(self) -> None:
        """Called when an attempt succeeds."""
        (self.folder / "failure.json").unlink(missing_ok=True)

    @staticmethod
    def _read(path: Path) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read ({error}): delete it and run again") from None
        return content


def open_jobs(job: Job) -> list[float]:
    """The limits of `job` that are not evaluated yet."""
    run = Run(Path(job.results), job.training)
    return [limit for limit in job.limits if not run.evaluated(limit, job.episodes)]


def is_done(job: Job) -> bool:
    """Whether nothing of `job` is left to do."""
    run = Run(Path(job.results), job.training)
    if job.stage == "train":
        return run.trained
    return not open_jobs(job)
