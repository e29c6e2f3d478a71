"""Many simulators of one task that advance in step, in this process or in several."""

from __future__ import annotations

import multiprocessing
import pickle
import traceback
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.memory import MemoryWatch
from benchmarks.simulators.simulator import Array, Simulator
from benchmarks.tasks.tasks import Task

Rows = NDArray[np.intp]
MOST_SIMULATORS = {"bullet": 1000}
"""Simulators that a process can hold, by engine; Bullet has 1024 clients."""
_GROUP = 8
"""Simulators that are built between two looks at the memory."""


class Steps(NamedTuple):
    """One step of n simulators: observations [n, o], the others [n]."""

    observations: Array
    rewards: NDArray[np.float64]
    costs: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]


class Lockstep:
    """`count` simulators of a task with a common reset and step.

    With `processes` = 0 they run in this process, otherwise in that many child processes. The
    results are equal bit for bit, as an episode depends on its seed and actions only. Use as a
    context manager, or call `close`.
    """

    def __init__(self, task: Task, count: int, processes: int = 0) -> None:
        self.task, self.count = task, count
        processes = min(processes, count)
        self._local = [Simulator(task) for _ in range(count)] if processes == 0 else []
        self._pipes: list[Connection] = []
        self._children: list[Any] = []
        context = multiprocessing.get_context("spawn")
        for _ in range(processes):
            ours, theirs = context.Pipe()
            child = context.Process(target=_serve, args=(theirs, task), daemon=True)
            child.start()
            theirs.close()
            self._pipes.append(ours)
            self._children.append(child)

    def reset(self, seeds: Sequence[int], rows: Rows | None = None) -> Array:
        """Start an episode in each of `rows` (all by default); observations [n, o]."""
        rows = np.arange(self.count) if rows is None else rows
        observations = np.empty((len(rows), self.task.observation_dim), dtype=np.float32)
        if self._local:
            for i, row in enumerate(rows):
                observations[i] = self._local[row].reset(int(seeds[i]))
        else:
            # dtype=object, as seeds may exceed int64
            for indices, reply in self._request("reset", rows, np.array(seeds, dtype=object)):
                observations[indices] = reply
        return observations

    def reset_fitting(self, seeds: Sequence[int]) -> Array:
        """Start an episode of each seed, from row 0 on, as long as there are simulators and memory.

        Returns the observations [n, o] of the episodes that were started, one at least.
        """
        seeds = seeds[: min(self.count, MOST_SIMULATORS.get(self.task.engine, self.count))]
        if not self._local:
            return self.reset(seeds, np.arange(len(seeds)))
        begun = [self.reset(seeds[:1], np.arange(1))]
        memory = MemoryWatch()
        while (done := sum(map(len, begun))) < len(seeds):
            rows = np.arange(done, min(done + _GROUP, len(seeds)))
            new = [row for row in rows if not self._local[row].built]
            if new and not memory.room_for(len(new), done):
                break
            begun.append(self.reset(seeds[done : done + len(rows)], rows))
        return np.concatenate(begun)

    def step(self, actions: Array, rows: Rows) -> Steps:
        """Advance simulators `rows` by `actions` [n, a]."""
        if self._local:
            return _advance([self._local[row] for row in rows], actions, self.task.observation_dim)
        steps = _empty_steps(len(rows), self.task.observation_dim)
        columns: list[NDArray[Any]] = list(steps)
        for indices, reply in self._request("step", rows, actions):
            for column, values in zip(columns, reply, strict=True):
                column[indices] = values
        return steps

    def _request(self, verb: str, rows: Rows, values: NDArray[Any]) -> list[tuple[Rows, Any]]:
        """Send `rows` to the children that own them; return (indices into `rows`, reply)."""
        owner = rows % len(self._pipes)
        shares = [np.flatnonzero(owner == child) for child in range(len(self._pipes))]
        busy = [
            (pipe, share) for pipe, share in zip(self._pipes, shares, strict=True) if len(share)
        ]
        try:
            for pipe, share in busy:
                pipe.send((verb, rows[share], values[share]))
            replies = [(share, pipe.recv()) for pipe, share in busy]
        except (EOFError, OSError):
            raise RuntimeError(
                f"a simulator process of {self.task.name} died (out of memory?)"
            ) from None
        for _, reply in replies:
            if isinstance(reply, _Failure):
                raise reply.error()
        return replies

    def close(self) -> None:
        """Close every simulator and stop the child processes."""
        for simulator in self._local:
            simulator.close()
        for pipe in self._pipes:
            pipe.close()
        for child in self._children:
            child.join(timeout=5)
            if child.is_alive():
                child.kill()

    def __enter__(self) -> Lockstep:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Failure(NamedTuple):
    """An error of a child process; errors themselves need not survive the pipe."""

    pickled: bytes
    """Empty for an error that cannot be pickled and unpickled."""
    text: str

    @staticmethod
    def of(error: BaseException) -> _Failure:
        """The failure that an error in this process is."""
        text = "".join(traceback.format_exception(error))
        try:
            pickle.loads(pickled := pickle.dumps(error))
        except Exception:
            pickled = b""
        return _Failure(pickled, text)

    def error(self) -> BaseException:
        """The error, with the traceback of its own process."""
        if not self.pickled:
            return RuntimeError(f"a simulator process failed:\n{self.text}")
        error: BaseException = pickle.loads(self.pickled)
        error.add_note(f"in a simulator process:\n{self.text}")
        return error


def _serve(pipe: Connection, task: Task) -> None:
    """Loop of a child process: reset and step simulators on request until the pipe closes."""
    simulators = defaultdict[int, Simulator](partial(Simulator, task))
    while True:
        try:
            verb, rows, values = pipe.recv()
        except (EOFError, OSError, KeyboardInterrupt):
            return
        try:
            requested = [simulators[row] for row in rows.tolist()]
            if verb == "reset":
                resets = zip(requested, values, strict=True)
                pipe.send([simulator.reset(int(seed)) for simulator, seed in resets])
            else:
                pipe.send(tuple(_advance(requested, values, task.observation_dim)))
        except BaseException as error:  # sys.exit as well; the parent raises it
            pipe.send(_Failure.of(error))


def _empty_steps(n: int, observation_dim: int) -> Steps:
    return Steps(
        np.empty((n, observation_dim), dtype=np.float32),
        np.empty(n),
        np.empty(n),
        np.empty(n, dtype=bool),
        np.empty(n, dtype=bool),
    )


def _advance(simulators: list[Simulator], actions: Array, observation_dim: int) -> Steps:
    """Step each of the simulators in turn."""
    steps = _empty_steps(len(simulators), observation_dim)
    observations, rewards, costs, terminated, truncated = steps
    for i, simulator in enumerate(simulators):
        observations[i], rewards[i], costs[i], terminated[i], truncated[i] = simulator.step(
            actions[i]
        )
    return steps
