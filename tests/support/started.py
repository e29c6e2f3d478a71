"""Workers that run a script, as forks of a server or as processes of their own."""

from __future__ import annotations

import json
import queue
from pathlib import Path
from typing import Any

from benchmarks.runs.jobs import Job, Training
from benchmarks.runs.store import Run
from benchmarks.scheduling.fork_server import ForkServer
from benchmarks.scheduling.local import WorkerProcess
from benchmarks.scheduling.protocol import ProcessExit, WorkItem


def job_of(folder: Path, script: str) -> Job:
    """A job whose method is a file, so that its process runs `script` first of all."""
    folder.mkdir(parents=True, exist_ok=True)
    (plugin := folder / "plugin.py").write_text(script)
    training = Training("probe", "", {}, "BallRun", "ab", 0, None, 1)
    own = str(Run(folder, training).folder)
    return Job(
        training=training,
        limits=(8.0,),
        episodes=1,
        method_spec=f"{plugin}:Probe",
        data=own,
        source="",
        results=str(folder),
    )


def bare_server() -> ForkServer:
    """A server for jobs that train nothing: it starts in half the time."""
    return ForkServer(preloaded=())


class StartedWorker:
    """A worker of a script, and what it says."""

    def __init__(self, folder: Path, script: str, server: ForkServer | None, place: str = "cpu"):
        self.job, self.folder = job_of(folder, script), folder
        self.said: queue.Queue[dict[str, Any] | ProcessExit] = queue.Queue()
        item = WorkItem(self.job, "both", False, device=place)
        self.worker = WorkerProcess(item, self.said.put, server=server)

    def end(self) -> ProcessExit:
        while not isinstance(message := self.said.get(timeout=120), ProcessExit):
            pass
        return message

    def facts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What FACTS has found, once it has ended."""
        self.end()
        common, own = json.loads((self.folder / "plugin.json").read_text())
        return common, own
