"""Runs jobs on a Slurm cluster, through submitit (the extra `slurm`).

Each work item is a Slurm job with one core, and one GPU if it trains on one. The results folder
must be on storage that the nodes share. A job that Slurm preempts or loses is submitted again and
resumes from its last checkpoint.
"""

from __future__ import annotations

import functools
import importlib
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.common.errors import UserError
from benchmarks.scheduling.config import EngineConfig
from benchmarks.scheduling.devices import DevicePool
from benchmarks.scheduling.node import Node, SharedStorageProbe, with_absolute_paths
from benchmarks.scheduling.protocol import Launch, OnMessage, ProcessExit, WorkItem

MAX_ATTEMPTS = 8
"""More than on one machine: preemption is common."""
_DEFAULT_WORKERS = 100
"""Slurm jobs at a time without --workers; the others wait in this process."""
_POLL_SECONDS = 2.0
"""Time between two checks of one job."""
_QUEUE_SECONDS = 15.0
"""Time between two calls of `squeue`."""
_DEFAULT_MINUTES = 24 * 60
"""Slurm's time limit of a job without --timeout and --slurm timeout_min=..."""


def connect(config: EngineConfig, results: Path) -> tuple[DevicePool, Launch, Callable[[], None]]:
    """The cluster's devices, the function that submits work, and the one to call at the end."""
    submitit = importlib.import_module("submitit")
    options = dict[str, Any](word.split("=", 1) for word in config.slurm)
    cluster = options.pop("cluster", None)
    minutes = options.pop("timeout_min", None) or config.timeout or _DEFAULT_MINUTES
    try:
        executor = submitit.AutoExecutor(folder=results / "runs" / ".slurm", cluster=cluster)
        if executor.cluster not in ("slurm", "local", "debug") or (
            executor.cluster == "local" and cluster is None
        ):
            raise RuntimeError("sbatch is not installed on this machine: run where it is")
        executor.update_parameters(
            timeout_min=int(float(minutes)) + 1,
            cpus_per_task=1,
            **({f"slurm_{key}": value for key, value in options.items()}),
        )
    except (RuntimeError, TypeError, ValueError, NameError) as error:
        raise UserError(f"--engine slurm: {' '.join(str(error).split())}") from None
    count, probe = config.workers or _DEFAULT_WORKERS, SharedStorageProbe(results)
    on_gpu = config.gpu_share and config.stage != "evaluate"
    slots = {"cuda:any": count, "cpu": count} if on_gpu else {"cpu": count}
    devices = DevicePool(slots, one_machine=False)
    queue = SlurmQueue() if executor.cluster == "slurm" else None
    return devices, functools.partial(SlurmWorker, executor, probe, queue), probe.remove


class SlurmQueue:
    """The jobs that wait or run in Slurm.

    submitit detects a dead job only through Slurm's accounting, which many clusters do not have.
    """

    def __init__(self) -> None:
        self._lock, self._updated = threading.Lock(), -_QUEUE_SECONDS
        self._jobs: set[str] | None = None

    def has(self, job: str) -> bool:
        """Whether a job waits or runs; also True while Slurm does not answer."""
        with self._lock:
            if time.monotonic() - self._updated >= _QUEUE_SECONDS:
                self._jobs, self._updated = self._list_jobs(), time.monotonic()
            return self._jobs is None or job in self._jobs

    @staticmethod
    def _list_jobs() -> set[str] | None:
        command = ["squeue", "--me", "--noheader", "--format=%A"]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return None if answer.returncode else set(answer.stdout.split())


class SlurmWorker:
    """A Slurm job that works on one item and passes its exit to `on_message`."""

    def __init__(
        self,
        executor: Any,
        probe: SharedStorageProbe,
        queue: SlurmQueue | None,
        item: WorkItem,
        on_message: OnMessage,
    ) -> None:
        self._on_message, self._queue = on_message, queue
        gpu = item.device.startswith("cuda")
        training = item.job.training
        executor.update_parameters(
            gpus_per_node=int(gpu), name=f"{training.task}-{training.algorithm}"
        )
        job = with_absolute_paths(item.worker_job)
        self._job = executor.submit(Node().work, job.to_json(), str(probe.path), {})
        threading.Thread(target=self._wait, daemon=True).start()

    def stop(self) -> None:
        """Ask the process to save its progress and exit: Slurm sends SIGTERM first."""
        self._job.cancel(check=False)

    def kill(self) -> None:
        """Cancel the job, as `stop` does."""
        self._job.cancel(check=False)

    def _wait(self) -> None:
        start = time.monotonic()
        while not self._job.done():
            time.sleep(_POLL_SECONDS)
            if self._queue is None or time.monotonic() - start < 2 * _QUEUE_SECONDS:
                continue  # the last list of jobs may be older than the job
            if not self._queue.has(self._job.job_id):
                time.sleep(_POLL_SECONDS)  # shared storage may show its result late
                if not self._job.done():
                    self._on_message(ProcessExit(-signal.SIGKILL, "Slurm has lost the job"))
                    return
        try:
            outcome = self._job.result()
        except Exception as error:  # killed, preempted, lost, or cancelled by us
            self._on_message(ProcessExit(-signal.SIGKILL, str(error)))
            return
        if outcome.files is not None:
            reason = "the node does not see the results folder: give --results a shared folder"
            self._on_message({"phase": "failed", "reason": reason})
            self._on_message(ProcessExit(1, ""))
            return
        if outcome.failure_reason:
            self._on_message({"phase": "failed", "reason": outcome.failure_reason})
        self._on_message(outcome.exited)
