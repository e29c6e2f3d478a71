"""Runs jobs on an existing Ray cluster (the extra `ray`).

Each work item is an actor with one core, and a fraction of a GPU if it trains on one. Nodes that
see the results folder work in it. Other nodes receive and return the run's files by value; no lock
then keeps a second runner from doing the same work. When a node is lost, its items are retried on
other nodes, from their last checkpoint where the store is shared.
"""

from __future__ import annotations

import functools
import importlib
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.common.errors import UserError
from benchmarks.common.os_env import import_path
from benchmarks.runs.store import Run
from benchmarks.scheduling.config import EngineConfig
from benchmarks.scheduling.devices import DevicePool
from benchmarks.scheduling.node import (
    Node,
    SharedStorageProbe,
    read_run_files,
    with_absolute_paths,
    write_run_files,
)
from benchmarks.scheduling.protocol import Launch, OnMessage, ProcessExit, WorkItem

MAX_ATTEMPTS = 8
"""More than on one machine: clusters lose nodes as a matter of course."""


def connect(config: EngineConfig, results: Path) -> tuple[DevicePool, Launch, Callable[[], None]]:
    """The cluster's devices, the function that starts work there, and the one that disconnects."""
    ray = importlib.import_module("ray")
    try:
        ray.init(
            address=config.address,
            log_to_driver=False,
            logging_level="ERROR",
            runtime_env={"env_vars": import_path()},
        )
    except (ConnectionError, ValueError) as error:
        cause = str(error).splitlines()[0]
        raise UserError(
            f"no Ray cluster at {config.address!r} ({cause}): start one with `ray start --head`"
        ) from None
    resources = ray.cluster_resources()
    cores = max(int(resources.get("CPU", 1)), 1)
    slots = {"cpu": config.workers or cores}
    if config.gpu_share and config.stage != "evaluate":
        gpu_slots = int(resources.get("GPU", 0) / config.gpu_share)
        if not gpu_slots:
            raise UserError("--gpu-share needs a GPU, but the Ray cluster has none: leave it out")
        slots = {"cuda:any": config.workers or gpu_slots, "cpu": cores}
    probe = SharedStorageProbe(results)
    upload = functools.cache(UploadedFile)
    launch = functools.partial(RayWorker, ray, probe, config.gpu_share, upload)

    def close() -> None:
        probe.remove()
        ray.shutdown()

    return DevicePool(slots, one_machine=False), launch, close


class UploadedFile:
    """A data file in Ray's object store: uploaded once, fetched by the nodes that lack it."""

    def __init__(self, path: str) -> None:
        self._reference = importlib.import_module("ray").put(Path(path).read_bytes())

    def __call__(self) -> bytes:
        """The file's contents, on any node."""
        content: bytes = importlib.import_module("ray").get(self._reference)
        return content


class RayWorker:
    """An actor that works on one item and passes its exit to `on_message`."""

    def __init__(
        self,
        ray: Any,
        probe: SharedStorageProbe,
        gpu_share: float,
        upload: Callable[[str], UploadedFile],
        item: WorkItem,
        on_message: OnMessage,
    ) -> None:
        self._ray, self._on_message = ray, on_message
        job = with_absolute_paths(item.worker_job)
        run = Run.of(job)
        gpus = gpu_share if item.device.startswith("cuda") else 0
        # Two concurrent calls: `stop` must get through while `work` runs.
        actor = ray.remote(Node).options(num_cpus=1, num_gpus=gpus, max_concurrency=2)
        self._actor = actor.remote()
        data = upload(job.data) if job.data else None
        self._outcome = self._actor.work.remote(
            job.to_json(), str(probe.path), read_run_files(run), data
        )
        threading.Thread(target=self._wait, args=(run,), daemon=True).start()

    def stop(self) -> None:
        """Ask the process to save its progress and exit."""
        self._actor.stop.remote()

    def kill(self) -> None:
        """Kill the actor and its process."""
        self._ray.kill(self._actor)

    def _wait(self, run: Run) -> None:
        try:
            outcome = self._ray.get(self._outcome)
            if outcome.files is not None:
                write_run_files(run, outcome.files)
        except self._ray.exceptions.RayError as error:  # the node or the actor's process is gone
            self._on_message(ProcessExit(-signal.SIGKILL, str(error)))
            return
        except Exception as error:
            self._on_message({"phase": "failed", "reason": f"{type(error).__name__}: {error}"})
            self._on_message(ProcessExit(1, ""))
            return
        self._ray.kill(self._actor)  # frees its core for the next item
        if outcome.failure_reason:
            self._on_message({"phase": "failed", "reason": outcome.failure_reason})
        self._on_message(outcome.exited)
