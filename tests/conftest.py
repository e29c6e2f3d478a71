"""What several test files share: no network, and small data sets from real simulators."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.datasets import dsrl
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.simulators.vector import Lockstep
from benchmarks.tasks.tasks import TASKS
from tests.support.loopback import CONTENT, Server


@pytest.fixture(scope="session", autouse=True)
def offline() -> Iterator[None]:
    """No test, nor what it starts, touches the network unless it clears this itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OSRL_BENCH_OFFLINE", "1")
        yield


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """As workers have: sums over two threads end in other bits than over one."""
    torch.set_num_threads(1)


@dataclass(frozen=True)
class SmallData:
    """A folder of DSRL files and the tasks that it holds."""

    folder: Path
    tasks: tuple[str, ...]


def scripted_episodes(name: str, count: int, seed: int = 0) -> Trajectories:
    """Episodes of a task under a constant action a episode plus noise, in the real simulator."""
    task, rng = TASKS[name], np.random.default_rng(seed)
    drift = rng.uniform(-1.0, 1.0, (count, task.action_dim))
    drift *= np.linspace(0.0, 1.0, count)[:, None]  # from safe and idle to costly
    columns: list[list[np.ndarray]] = [[] for _ in range(count)]
    with Lockstep(task, count) as simulators:
        running = np.arange(count)
        observations = simulators.reset(rng.integers(2**31, size=count).tolist())
        while len(running):
            noise = rng.normal(0.0, 0.3, (len(running), task.action_dim))
            actions = np.clip(drift[running] + noise, -1.0, 1.0).astype(np.float32)
            step = simulators.step(actions, running)
            ended = step.terminated | step.truncated
            for i, row in enumerate(running):
                scalars = step.rewards[i], step.costs[i], step.terminated[i], step.truncated[i]
                parts = observations[i], actions[i], step.observations[i], np.array(scalars)
                columns[row].append(np.concatenate(parts))
            running, observations = running[~ended], step.observations[~ended]
    table = np.concatenate([np.stack(rows) for rows in columns])
    o, a = task.observation_dim, task.action_dim
    return Trajectories.from_arrays(
        table[:, :o],
        table[:, o : o + a],
        table[:, -4],
        table[:, -3],
        table[:, -2],
        table[:, -1],
        table[:, o + a : o + a + o],
    )


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> SmallData:
    """DSRL files of BallRun and BallCircle with a dozen episodes each."""
    folder = tmp_path_factory.mktemp("small")
    tasks = ("BallRun", "BallCircle")
    for name in tasks:
        scripted_episodes(name, 12).save(folder / TASKS[name].dataset_file)
    return SmallData(folder, tasks)


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a proxy nor mirrors of the user's."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("OSRL_BENCH_MIRRORS", raising=False)


@pytest.fixture
def make_server(no_proxy: None) -> Iterator[Callable[..., Server]]:
    """Servers on this machine, each with faults of its own."""
    servers = []

    def make(content=CONTENT):
        servers.append(Server(content))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return servers[-1]

    yield make
    for server in servers:
        server.release.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    """One server."""
    return make_server()


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, which take no time here."""
    pauses = []
    monkeypatch.setattr(dsrl, "sleep", pauses.append)
    return pauses
