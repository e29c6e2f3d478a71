"""What several test files share: no network, and small data sets from real simulators."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from benchmarks.common.errors import UserError
from benchmarks.datasets import dsrl
from benchmarks.runs.jobs import Job
from benchmarks.tasks.tasks import TASKS
from tests.support.here import worker_here
from tests.support.loopback import CONTENT, Server
from tests.support.published import CAR, put
from tests.support.runs import leave_blank, leave_pictures_blank
from tests.support.small_data import SmallData, scripted_episodes


@pytest.fixture(scope="session", autouse=True)
def offline() -> Iterator[None]:
    """No test, nor what it starts, touches the network unless it clears this itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OSRL_BENCH_OFFLINE", "1")
        yield


def shared(factory: pytest.TempPathFactory, name: str) -> Path:
    """A folder of this session that all processes of pytest share."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test finds, nor leaves, data in the cache of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OSRL_BENCH_CACHE", str(shared(tmp_path_factory, "cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_fsync() -> Iterator[None]:
    """Files survive the test, not a crash of the machine: thousands of waits for the disk go."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_bytecode() -> Iterator[None]:
    """No test, nor what it starts, keeps compiled code: it would hide what a test edits in no time.

    The tests themselves and what they import are compiled by then, and may be kept.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        yield


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """As workers have: sums over two threads end in other bits than over one.

    Processes that a test starts have one too, so that files can be tested beside each other.
    """
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> SmallData:
    """DSRL files of BallRun and BallCircle with a dozen episodes each.

    The first process of pytest that asks makes them for all.
    """
    folder, tasks = shared(tmp_path_factory, "small"), ("BallRun", "BallCircle")
    with FileLock(folder.with_suffix(".lock")):
        for name in tasks:
            path = folder / TASKS[name].dataset_file
            if not path.exists():
                scripted_episodes(name, 12).save(path)
    return SmallData(folder, tasks)


@pytest.fixture
def workers_here(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Workers are no processes of their own, which would take seconds to start; their jobs."""
    here = worker_here()
    monkeypatch.setattr("benchmarks.scheduling.engines.WorkerProcess", here)
    return here.asked


@pytest.fixture
def blank_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaderboards come without drawing their pictures, which takes seconds."""
    leave_pictures_blank(monkeypatch)


@pytest.fixture
def blank_boards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaderboards come with tables only: pictures and page are empty files."""
    leave_blank(monkeypatch)


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


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Folders of this test alone for published and generated files."""
    monkeypatch.setenv("DSRL_DATASET_DIR", str(tmp_path / "published"))
    monkeypatch.setenv("OSRL_BENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "published").mkdir()
    return tmp_path


@pytest.fixture
def fetched(monkeypatch):
    """Pretend to fetch: what was asked for. CarRun's file is out of reach."""
    asked = []

    def fetch(task, folder, addresses, *, progress):
        asked.append((task, folder, list(addresses)))
        for done in (0, 700, 400, 1000):  # a server may make it begin again
            progress(done, None if done == 0 else 1000)
        if task == CAR:
            raise UserError("could not fetch it (HTTP 404)")
        return put(folder / task.dataset_file, task)

    monkeypatch.setattr(dsrl, "fetch", fetch)
    return asked
