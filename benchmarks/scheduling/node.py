"""Code that runs on a cluster node: runs a local worker, returns results by value if needed."""

from __future__ import annotations

import os
import queue
import tempfile
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.common.files import write_atomic
from benchmarks.common.os_env import import_path
from benchmarks.runs.jobs import Job
from benchmarks.runs.store import Run
from benchmarks.scheduling.local import WorkerProcess
from benchmarks.scheduling.protocol import ProcessExit, WorkItem

_WRITTEN_LAST = ("training.json", "evaluation-")
"""Files that mark a stage as done: written after the results that they vouch for."""
_NOT_COPIED = ("lock", ".")
"""Prefixes of file names that stay on their machine."""


class Outcome(NamedTuple):
    """The result of a work item on a node."""

    exited: ProcessExit
    failure_reason: str
    """The failure that the process itself reported."""
    files: dict[str, bytes] | None
    """The contents of the run's folder; None where the store is shared with the node."""


class SharedStorageProbe:
    """A file in the runner's store; a node that sees it shares that storage."""

    def __init__(self, results: Path) -> None:
        token = uuid.uuid4().hex
        self.path = (results / "runs").resolve() / f".shared-{token}"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(token)

    def remove(self) -> None:
        """Delete the file; called when the runner exits."""
        self.path.unlink(missing_ok=True)


def with_absolute_paths(job: Job) -> Job:
    """The same job for a process that starts in another folder."""
    data = str(Path(job.data).resolve()) if job.data else ""
    return replace(job, results=str(Path(job.results).resolve()), data=data)


class Node:
    """Works on one item on the machine where it is created."""

    def __init__(self) -> None:
        self._worker: WorkerProcess | None = None
        self._stopped = False

    def work(
        self,
        job_line: str,
        probe: str,
        files: Mapping[str, bytes],
        fetch_data: Callable[[], bytes] | None = None,
    ) -> Outcome:
        """Do the job in `job_line` and return when its process has exited.

        The process works in the store itself if the file `probe` exists here. Otherwise it works
        in a temporary folder that starts with the run's `files`, and with the data file from
        `fetch_data` if that does not exist here either.
        """
        job = Job.from_json(job_line)
        if Path(probe).exists():
            exited, reason = self._run(job)
            return Outcome(exited, reason, None)
        with tempfile.TemporaryDirectory() as folder:
            job = replace(job, results=folder)
            if fetch_data is not None and not Path(job.data).is_file():
                (copy := Path(folder) / "data.hdf5").write_bytes(fetch_data())
                job = replace(job, data=str(copy))
            run = Run.of(job)
            run.folder.mkdir(parents=True)
            for name, content in files.items():
                (run.folder / name).write_bytes(content)
            exited, reason = self._run(job)
            return Outcome(exited, reason, read_run_files(run))

    def stop(self) -> None:
        """Ask the process to save its progress and exit; `work` returns soon after."""
        self._stopped = True
        if self._worker is not None:
            self._worker.stop()

    def _run(self, job: Job) -> tuple[ProcessExit, str]:
        messages: queue.Queue[dict[str, Any] | ProcessExit] = queue.Queue()
        item = WorkItem(job, job.stage, job.device.startswith("cuda"), device=job.device)
        # The cluster assigns the GPU.
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0") if item.needs_gpu else ""
        self._worker = WorkerProcess(
            item, messages.put, environment={"CUDA_VISIBLE_DEVICES": visible, **import_path()}
        )
        if self._stopped:
            self._worker.stop()
        reason = ""
        while not isinstance(message := messages.get(), ProcessExit):
            reason = message.get("reason", reason)
        return message, reason


def read_run_files(run: Run) -> dict[str, bytes]:
    """The contents of a run's folder by file name."""
    paths = run.folder.iterdir() if run.folder.is_dir() else []
    return {
        path.name: path.read_bytes()
        for path in paths
        if path.is_file() and not path.name.startswith(_NOT_COPIED)
    }


def write_run_files(run: Run, files: Mapping[str, bytes]) -> None:
    """Store the files that a node returned, each atomically, those that mark a stage done last."""
    with run.locked():
        for name in sorted(files, key=lambda name: (name.startswith(_WRITTEN_LAST), name)):
            if Path(name).name != name or name.startswith(_NOT_COPIED):
                continue  # a node may write into the run's folder only
            write_atomic(run.folder / name, files[name])
        for name in ("resume.pt", "failure.json"):
            if name not in files:
                (run.folder / name).unlink(missing_ok=True)
