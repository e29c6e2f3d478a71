"""What runs on a node of a cluster: a worker of that node, and results by value if need be."""

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
from benchmarks.runs.jobs import Job
from benchmarks.runs.store import Run
from benchmarks.scheduling.local import WorkerProcess
from benchmarks.scheduling.protocol import Ended, Piece

_LAST = ("training.json", "evaluation-")
"""Files that say that something is done: they are stored after what they speak of."""
_NEVER = ("lock", ".")


class Outcome(NamedTuple):
    """What came of a piece on a node."""

    ended: Ended
    said: str
    """Why it failed, as the process itself said."""
    files: dict[str, bytes] | None
    """The run's folder, where the store is not shared with the node."""


class Mark:
    """A file by which a node tells whether it sees the store of the runner."""

    def __init__(self, results: Path) -> None:
        self.word = uuid.uuid4().hex
        self.path = (results / "runs").resolve() / f".shared-{self.word}"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(self.word)

    def remove(self) -> None:
        """Called when the runner ends."""
        self.path.unlink(missing_ok=True)


def absolute(job: Job) -> Job:
    """The same job for a process that starts in another folder."""
    data = str(Path(job.data).resolve()) if job.data else ""
    return replace(job, results=str(Path(job.results).resolve()), data=data)


class Node:
    """Works on one piece where it is made: `work` returns when its process has ended."""

    def __init__(self) -> None:
        self._worker: WorkerProcess | None = None
        self._stopped = False

    def work(
        self,
        line: str,
        mark: str,
        files: Mapping[str, bytes],
        data: Callable[[], bytes] | None = None,
    ) -> Outcome:
        """Do the job in `line`; in the store itself where the file `mark` is seen.

        Otherwise in a folder of its own that starts with the run's `files`, and with the data
        file's contents, which `data` fetches, if that is not here either.
        """
        job = Job.from_json(line)
        if Path(mark).exists():
            ended, said = self._run(job)
            return Outcome(ended, said, None)
        with tempfile.TemporaryDirectory() as folder:
            job = replace(job, results=folder)
            if data is not None and not Path(job.data).is_file():
                (copy := Path(folder) / "data.hdf5").write_bytes(data())
                job = replace(job, data=str(copy))
            run = Run.of(job)
            run.folder.mkdir(parents=True)
            for name, content in files.items():
                (run.folder / name).write_bytes(content)
            ended, said = self._run(job)
            return Outcome(ended, said, folder_files(run))

    def stop(self) -> None:
        """Ask the process to save what it has and end; `work` returns soon."""
        self._stopped = True
        if self._worker is not None:
            self._worker.stop()

    def _run(self, job: Job) -> tuple[Ended, str]:
        heard: queue.Queue[dict[str, Any] | Ended] = queue.Queue()
        piece = Piece(job, job.stage, job.device.startswith("cuda"), place=job.device)
        # which GPU is the cluster's to say
        shown = os.environ.get("CUDA_VISIBLE_DEVICES", "0") if piece.gpu else ""
        self._worker = WorkerProcess(
            piece, heard.put, environment={"CUDA_VISIBLE_DEVICES": shown, **_import_path()}
        )
        if self._stopped:
            self._worker.stop()
        said = ""
        while not isinstance(message := heard.get(), Ended):
            said = message.get("reason", said)
        return message, said


def _import_path() -> dict[str, str]:
    """Where this package was imported from, for a process that starts elsewhere."""
    root = str(Path(__file__).resolve().parents[2])
    return {"PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}


def folder_files(run: Run) -> dict[str, bytes]:
    """The contents of a run's folder by file name."""
    paths = run.folder.iterdir() if run.folder.is_dir() else []
    return {
        path.name: path.read_bytes()
        for path in paths
        if path.is_file() and not path.name.startswith(_NEVER)
    }


def keep(run: Run, files: Mapping[str, bytes]) -> None:
    """Store what a node returned by value, each file whole, those that say "done" last."""
    with run.held():
        for name in sorted(files, key=lambda one: (one.startswith(_LAST), one)):
            if Path(name).name != name or name.startswith(_NEVER):
                continue  # a node writes into the run's folder and nowhere else
            write_atomic(run.folder / name, files[name])
        if "resume.pt" not in files:
            (run.folder / "resume.pt").unlink(missing_ok=True)
        if "failure.json" not in files:
            (run.folder / "failure.json").unlink(missing_ok=True)
