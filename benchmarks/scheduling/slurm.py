"""The same jobs on a Slurm cluster, through submitit (the extra `slurm`).

Each piece of work is a Slurm job of one core, and of a GPU if it trains on one. The results folder
must be on storage that the nodes share. A job that Slurm preempts or loses is submitted again and
goes on from its last checkpoint.
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
from benchmarks.scheduling.devices import Places
from benchmarks.scheduling.node import Mark, Node, absolute
from benchmarks.scheduling.protocol import Ended, Heard, Launch, Piece

TRIES = 8
"""Preemption is nothing unusual."""
_IN_QUEUE = 100
"""Slurm jobs at a time, unless --workers says otherwise: the rest waits here."""
_POLL = 2.0
_LOOK = 15.0
"""Seconds from one look at Slurm's queue to the next."""
_MINUTES = 24 * 60
"""Time asked for a job, unless --timeout or --slurm timeout_min=... says otherwise."""


def connect(config: EngineConfig, results: Path) -> tuple[Places, Launch, Callable[[], None]]:
    """Places, the way to submit work, and what is called at the end."""
    submitit = importlib.import_module("submitit")
    options = dict[str, Any](word.split("=", 1) for word in config.slurm)
    cluster = options.pop("cluster", None)
    minutes = options.pop("timeout_min", None) or config.timeout or _MINUTES
    try:
        executor = submitit.AutoExecutor(folder=results / "runs" / ".slurm", cluster=cluster)
        if executor.cluster not in ("slurm", "local", "debug") or (
            executor.cluster == "local" and cluster is None
        ):
            raise RuntimeError("there is no sbatch on this machine")
        executor.update_parameters(
            timeout_min=int(float(minutes)) + 1,
            cpus_per_task=1,
            **({f"slurm_{key}": value for key, value in options.items()}),
        )
    except (RuntimeError, TypeError, ValueError, NameError) as error:
        raise UserError(f"--engine slurm: {' '.join(str(error).split())}") from None
    count, mark = config.workers or _IN_QUEUE, Mark(results)
    on_gpu = config.gpu_share and config.stage != "evaluate"
    slots = {"cuda:any": count, "cpu": count} if on_gpu else {"cpu": count}
    places = Places(slots, one_machine=False)
    queue = Queue() if executor.cluster == "slurm" else None
    return places, functools.partial(SlurmAttempt, executor, mark, queue), mark.remove


class Queue:
    """The jobs that Slurm still has.

    submitit learns of a job that died by Slurm's accounting alone, which many clusters do without.
    """

    def __init__(self) -> None:
        self._lock, self._looked = threading.Lock(), -_LOOK
        self._jobs: set[str] | None = None

    def has(self, job: str) -> bool:
        """Whether a job waits or runs; True too while Slurm does not answer."""
        with self._lock:
            if time.monotonic() - self._looked >= _LOOK:
                self._jobs, self._looked = self._look(), time.monotonic()
            return self._jobs is None or job in self._jobs

    @staticmethod
    def _look() -> set[str] | None:
        command = ["squeue", "--me", "--noheader", "--format=%A"]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return None if answer.returncode else set(answer.stdout.split())


class SlurmAttempt:
    """A Slurm job that works on one piece; its end goes to `heard`."""

    def __init__(
        self, executor: Any, mark: Mark, queue: Queue | None, piece: Piece, heard: Heard
    ) -> None:
        self._heard, self._queue = heard, queue
        gpu = piece.place.startswith("cuda")
        training = piece.job.training
        executor.update_parameters(
            gpus_per_node=int(gpu), name=f"{training.task}-{training.algorithm}"
        )
        self._job = executor.submit(Node().work, absolute(piece.work).to_json(), str(mark.path), {})
        threading.Thread(target=self._wait, daemon=True).start()

    def stop(self) -> None:
        """Ask it to save what it has and end: Slurm sends SIGTERM first."""
        self._job.cancel(check=False)

    def kill(self) -> None:
        """End it at once."""
        self._job.cancel(check=False)

    def _wait(self) -> None:
        begin = time.monotonic()
        while not self._job.done():
            time.sleep(_POLL)
            if self._queue is None or time.monotonic() - begin < 2 * _LOOK:
                continue  # the last look at the queue may be older than the job
            if not self._queue.has(self._job.job_id):
                time.sleep(_POLL)  # its result may be on the way through the storage
                if not self._job.done():
                    self._heard(Ended(-signal.SIGKILL, "Slurm has lost the job"))
                    return
        try:
            outcome = self._job.result()
        except Exception as error:  # killed, preempted, lost, or cancelled by us
            self._heard(Ended(-signal.SIGKILL, str(error)))
            return
        if outcome.files is not None:
            reason = "the node does not see the results folder: name one on shared storage"
            self._heard({"phase": "failed", "reason": reason})
            self._heard(Ended(1, ""))
            return
        if outcome.said:
            self._heard({"phase": "failed", "reason": outcome.said})
        self._heard(outcome.ended)
