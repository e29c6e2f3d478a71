"""The same jobs on an existing Ray cluster (the extra `ray`).

Each piece of work is an actor with a core, and a share of a GPU if it trains on one. Nodes that see
the results folder work in it; others get and return the run's files by value, which no lock keeps
a second runner from doing too. When a node is lost, its pieces are tried again elsewhere, from
their last checkpoint where the store is shared.
"""

from __future__ import annotations

import functools
import importlib
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.common.errors import UserError
from benchmarks.runs.store import Run
from benchmarks.scheduling.config import EngineConfig
from benchmarks.scheduling.devices import Places
from benchmarks.scheduling.node import Mark, Node, absolute, folder_files, keep
from benchmarks.scheduling.protocol import Ended, Heard, Launch, Piece

TRIES = 8
"""A node's loss is nothing unusual."""


def connect(config: EngineConfig, results: Path) -> tuple[Places, Launch, Callable[[], None]]:
    """Places, the way to start work, and what ends the connection."""
    ray = importlib.import_module("ray")
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    try:
        ray.init(
            address=config.address,
            log_to_driver=False,
            logging_level="ERROR",
            runtime_env={"env_vars": {"PYTHONPATH": path}},
        )
    except (ConnectionError, ValueError) as error:
        said = str(error).splitlines()[0]
        raise UserError(
            f"no Ray cluster at {config.address!r} ({said}): `ray start --head`"
        ) from None
    there = ray.cluster_resources()
    cores = max(int(there.get("CPU", 1)), 1)
    slots = {"cpu": config.workers or cores}
    if config.gpu_share and config.stage != "evaluate":
        gpus = int(there.get("GPU", 0) / config.gpu_share)
        if not gpus:
            raise UserError("--gpu-share, but the Ray cluster has no GPU")
        slots = {"cuda:any": config.workers or gpus, "cpu": cores}
    mark = Mark(results)
    launch = functools.partial(RayAttempt, ray, mark, config.gpu_share, functools.cache(Stored))

    def close() -> None:
        mark.remove()
        ray.shutdown()

    return Places(slots, one_machine=False), launch, close


class Stored:
    """A data file in the cluster's object store: put there once, fetched by nodes that lack it."""

    def __init__(self, path: str) -> None:
        self._reference = importlib.import_module("ray").put(Path(path).read_bytes())

    def __call__(self) -> bytes:
        """Its contents, on any node."""
        content: bytes = importlib.import_module("ray").get(self._reference)
        return content


class RayAttempt:
    """An actor that works on one piece; its end goes to `heard`."""

    def __init__(
        self,
        ray: Any,
        mark: Mark,
        gpu_share: float,
        stored: Callable[[str], Stored],
        piece: Piece,
        heard: Heard,
    ) -> None:
        self._ray, self._heard = ray, heard
        work = absolute(piece.work)
        run = Run.of(work)
        gpus = gpu_share if piece.place.startswith("cuda") else 0
        # beside `work`, which lasts for as long as the job, `stop` must get through
        actor = ray.remote(Node).options(num_cpus=1, num_gpus=gpus, max_concurrency=2)
        self._actor = actor.remote()
        data = stored(work.data) if work.data else None
        self._outcome = self._actor.work.remote(
            work.to_json(), str(mark.path), folder_files(run), data
        )
        threading.Thread(target=self._wait, args=(run,), daemon=True).start()

    def stop(self) -> None:
        """Ask it to save what it has and end."""
        self._actor.stop.remote()

    def kill(self) -> None:
        """End it at once."""
        self._ray.kill(self._actor)

    def _wait(self, run: Run) -> None:
        try:
            outcome = self._ray.get(self._outcome)
            if outcome.files is not None:
                keep(run, outcome.files)
        except self._ray.exceptions.RayError as error:  # the node, or its process, is gone
            self._heard(Ended(-signal.SIGKILL, str(error)))
            return
        except Exception as error:
            self._heard({"phase": "failed", "reason": f"{type(error).__name__}: {error}"})
            self._heard(Ended(1, ""))
            return
        self._ray.kill(self._actor)  # its core is free for the next one
        if outcome.said:
            self._heard({"phase": "failed", "reason": outcome.said})
        self._heard(outcome.ended)
