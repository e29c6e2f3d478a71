"""Threads, children, pools and exit handlers that foreign code leaves behind: every run ends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.runs.jobs import ExitStatus
from benchmarks.scheduling.fork_server import AVAILABLE, ForkServer
from tests.support import own_task
from tests.support.leftovers import CODE, KINDS, survivors
from tests.support.runs import wait_for
from tests.support.started import StartedWorker, bare_server

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="needs Linux")


@pytest.fixture(params=["forked", pytest.param("started", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest) -> Iterator[ForkServer | None]:
    if request.param == "started":
        yield None
        return
    with closing(bare_server()) as one:
        yield one


def test_a_worker_ends_whatever_is_left_behind(server: ForkServer | None, tmp_path: Path) -> None:
    workers = {
        kind: StartedWorker(tmp_path / kind, f"{CODE}\nleave({kind!r})\n", server) for kind in KINDS
    }
    for kind, worker in workers.items():
        assert worker.end().status == ExitStatus.FAILED, f"{kind}: there is no method in the file"
        wait_for(lambda folder=worker.folder: not survivors(folder), 10)


def test_children_end_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    with closing(bare_server()) as server:
        for name, one in (("forked", server), ("started", None)):
            script = f"{CODE}\nleave('child')\nleave('fork')\nMINE.with_name('begun').touch()\n"
            worker = StartedWorker(tmp_path / name, f"{script}time.sleep(600)\n", one)
            wait_for((worker.folder / "begun").exists)
            worker.worker.kill()
            assert worker.end().status < 0
            wait_for(lambda folder=worker.folder: not survivors(folder), 10)


METHOD = """
from baselines.bc import BCAll

for kind in ("thread", "child", "handler"):  # on import, in the runner as well
    leave(kind)


class Leaving(BCAll):
    name = "leaving"

    def build(self):
        super().build()
        for kind in KINDS:
            leave(kind)
"""
SIMULATOR = """
_step, _close = Reach.step, Reach.close


def step(self, action):
    if not MINE.exists():
        for kind in KINDS:
            leave(kind)
    return _step(self, action)


def close(self):
    time.sleep(600)


Reach.step, Reach.close = step, close
"""


@pytest.mark.slow
def test_a_run_ends_with_all_of_it_in_a_plugin_and_a_simulator(tmp_path: Path) -> None:
    own_task.episodes(30).save(tmp_path / "reach.hdf5")
    toml = own_task.example(tmp_path / "task", tmp_path / "reach.hdf5")
    kinds = f"\nKINDS = {KINDS!r}\n"
    simulator = toml.with_name("reach.py")
    simulator.write_text(simulator.read_text() + CODE + kinds + SIMULATOR)
    (plugin := tmp_path / "plugin.py").write_text(CODE + kinds + METHOD)
    results = tmp_path / "results"
    command = own_task.command(toml, results, "--algorithms", f"{plugin}:Leaving", "bc-all")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.run", *command],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    stored = [json.loads(p.read_text()) for p in results.glob("runs/*/evaluation-*.json")]
    assert len(stored) == 4, "two methods at two limits"
    for folder in (tmp_path, toml.parent):
        wait_for(lambda folder=folder: not survivors(folder), 20)
