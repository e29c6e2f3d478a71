"""Forks of a warm process: each is what a process started afresh would be, and ends as it would."""

from __future__ import annotations

import json
import os
import queue
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.runs.jobs import ExitStatus
from benchmarks.runs.store import Run
from benchmarks.scheduling.devices import DevicePool
from benchmarks.scheduling.fork_server import AVAILABLE, ForkServer
from benchmarks.scheduling.local import WorkerProcess
from benchmarks.scheduling.protocol import ProcessExit, WorkItem
from benchmarks.scheduling.scheduler import Scheduler
from tests.support.fake_jobs import FAKE
from tests.support.forked import FORK
from tests.support.jobs import losses, make_job, same
from tests.support.runs import wait_for
from tests.support.small_data import SmallData
from tests.support.started import StartedWorker, bare_server, job_of

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="needs Linux")

FACTS = """
import faulthandler, json, os, pathlib, random, signal, sys, threading
import numpy as np, torch
FACTS = {
    "environment": dict(os.environ),
    "threads": [torch.get_num_threads(), torch.get_num_interop_threads()],
    "precision": [torch.get_float32_matmul_precision(), str(torch.get_default_dtype())],
    "faults": faulthandler.is_enabled(),
    "signals": [str(signal.getsignal(one)).split(" object")[0].split(".")[-1]
                for one in signal.valid_signals()
                if one not in (signal.SIGKILL, signal.SIGSTOP)],
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "active": threading.active_count(),
    "tasks": len(os.listdir("/proc/self/task")),
    "streams": [(one.fileno(), one.encoding, one.errors, one.line_buffering)
                for one in (sys.stdin, sys.stdout, sys.stderr)],
    "piped": [os.readlink(f"/proc/self/fd/{i}").split(":")[0] for i in range(3)],
    "path": sys.path,
    "folder": os.getcwd(),
    "leads": os.getsid(0) == os.getpid(),
    "alarm": signal.getitimer(signal.ITIMER_REAL),
}
OWN = {
    "pid": os.getpid(),
    "parent": os.getppid(),
    "command": sys.orig_argv,
    "numpy": np.random.get_state()[1].tolist(),
    "random": random.getstate()[1],
    "torch": torch.get_rng_state().tolist(),
}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps([FACTS, OWN]))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with closing(ForkServer()) as one:
        yield one


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_a_fork_is_as_a_fresh_process_and_each_is_its_own(
    server: ForkServer, tmp_path: Path
) -> None:
    forks = [StartedWorker(tmp_path / str(i), FACTS, server, "cuda:3") for i in range(2)]
    plain = StartedWorker(tmp_path / "plain", FACTS, None, "cuda:3")
    (one, mine), (other, others), (fresh, its) = (each.facts() for each in (*forks, plain))
    assert fresh["environment"]["CUDA_VISIBLE_DEVICES"] == "3"
    assert fresh["faults"]
    late = {"TORCHINDUCTOR_CACHE_DIR", "SDL_AUDIODRIVER", "PYGAME_HIDE_SUPPORT_PROMPT"}
    for found in (one, other):  # what an import sets comes earlier here
        assert late >= found["environment"].keys() - fresh["environment"].keys()
    for found in (one, other, fresh):  # or came in this process, before
        found["environment"] = {k: v for k, v in found["environment"].items() if k not in late}
    assert one == other == fresh
    assert mine["parent"] == others["parent"] != its["parent"] == os.getpid()
    assert mine["pid"] != others["pid"]
    for name in ("numpy", "random", "torch"):
        assert mine[name] != others[name] != its[name]


ENDINGS = {
    "error": ("raise ArithmeticError('a fault')", ExitStatus.FAILED, "last words"),
    "memory": ("raise MemoryError", ExitStatus.FAILED, "last words"),
    "exit": ("sys.exit(7)", ExitStatus.FAILED, "last words"),  # of foreign code
    "at once": ("os._exit(9)", ExitStatus.FAILED, "last words"),
    "busy": ("os._exit(4)", ExitStatus.FAILED, "last words"),
    "killed": ("os.kill(os.getpid(), 9)", -signal.SIGKILL, "last words"),
    "terminated": (
        "import signal; signal.signal(15, signal.SIG_DFL); os.kill(os.getpid(), 15)",
        -signal.SIGTERM,
        "last words",
    ),
    "aborted": ("os.abort()", -signal.SIGABRT, "Fatal Python error: Aborted"),
    "fault": ("import ctypes; ctypes.string_at(0)", -signal.SIGSEGV, "in string_at"),
}


@pytest.mark.parametrize("kind", ENDINGS)
def test_how_a_fork_ends_is_told(kind: str, server: ForkServer, tmp_path: Path) -> None:
    script, status, words = ENDINGS[kind]
    head = "import os, sys\nprint('last words', flush=True)\n"
    ended = StartedWorker(tmp_path, head + script, server).end()
    assert ended.status == status
    assert words in ended.stderr_tail


def test_signals_reach_a_fork_however_early(server: ForkServer, tmp_path: Path) -> None:
    asleep = (
        "import pathlib, time\npathlib.Path(__file__).with_name('begun').touch()\ntime.sleep(60)"
    )
    late = StartedWorker(tmp_path / "late", asleep, server)
    wait_for((late.folder / "begun").exists)
    late.worker.kill()
    assert late.end().status == -signal.SIGKILL
    early = [StartedWorker(tmp_path / str(i), asleep, server) for i in range(3)]
    for one in early[:2]:
        one.worker.stop()
    early[2].worker.kill()
    assert {one.end().status for one in early[:2]} <= {-signal.SIGTERM, ExitStatus.STOPPED}
    assert early[2].end().status == -signal.SIGKILL


def test_what_a_fork_leaves_open_is_written_before_it_ends(
    server: ForkServer, tmp_path: Path
) -> None:
    script = """
import atexit, pathlib
LOG = pathlib.Path(__file__).with_name("log").open("w")
LOG.write("words")
atexit.register(pathlib.Path(__file__).with_name("exit").touch)
"""
    StartedWorker(tmp_path, script, server).end()
    assert (tmp_path / "log").read_text() == "words"
    assert (tmp_path / "exit").exists()


def test_a_dead_server_ends_its_forks_which_are_tried_again_afresh(tmp_path: Path) -> None:
    script = (
        "import pathlib, time\npathlib.Path(__file__).with_name('begun').touch()\ntime.sleep(60)"
    )
    job = job_of(tmp_path, script)
    seen: list[WorkerProcess] = []
    with closing(bare_server()) as server:

        def launch(item: WorkItem, on_message) -> WorkerProcess:
            seen.append(WorkerProcess(item, on_message, command=FAKE, server=server))
            return seen[-1]

        events = Scheduler(DevicePool({"cpu": 1}), launch).run(
            [job], lambda: kill_when((tmp_path / "begun").exists(), server)
        )
        ends = [(event.phase, event.reason) for event in events]
        assert server._process is not None
        assert server._process.returncode == -signal.SIGKILL, "it is waited for"
    assert ends == [("retry", "ended by SIGKILL (out of memory?)"), ("done", "")]
    assert [hasattr(worker._process, "pid") for worker in seen] == [False, True]


def kill_when(due: bool, server: ForkServer) -> bool:
    """A look of the scheduler whether to stop: never; `due`: kill the server, once."""
    if due and server._process is not None and server._process.returncode is None:
        server._process.kill()
    return False


def _run_and_be_killed(folder: Path) -> None:
    """A runner with a job that does not end by itself, nor by being asked."""
    script = (
        f"import signal\nsignal.signal(15, signal.SIG_IGN)\n{FACTS}\nimport time\ntime.sleep(99)"
    )
    StartedWorker(folder, script, bare_server())
    time.sleep(99)


def test_server_and_forks_end_with_a_killed_runner(tmp_path: Path) -> None:
    runner = FORK.Process(target=_run_and_be_killed, args=(tmp_path,))
    runner.start()
    wait_for((tmp_path / "plugin.json").exists)
    time.sleep(0.1)
    _, own = json.loads((tmp_path / "plugin.json").read_text())
    runner.kill()
    runner.join()
    wait_for(lambda: gone(own["pid"]) and gone(own["parent"]))


def test_a_closed_server_leaves_nothing(tmp_path: Path) -> None:
    with closing(bare_server()) as server:
        started = StartedWorker(tmp_path, FACTS, server)
        _, own = started.facts()
        assert gone(own["pid"]), "no zombie"
        assert not gone(own["parent"])
    assert gone(own["parent"])


def test_what_no_fork_can_share_starts_workers_afresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here a thread that begins while the server imports."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, threading, time\n"
        "if 'benchmarks.scheduling.fork_server' in sys.orig_argv:\n"
        "    threading.Thread(target=time.sleep, args=(99,), daemon=True).start()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with closing(bare_server()) as server:
        facts, own = StartedWorker(tmp_path / "job", FACTS, server).facts()
    assert own["command"][-1] == "benchmarks.runs.worker"
    assert facts["blocked"] == []
    assert facts["leads"]


def test_a_fork_gives_what_a_fresh_process_gives(
    server: ForkServer, small_data: SmallData, tmp_path: Path
) -> None:
    jobs = [
        replace(make_job("bc-all", small_data, tmp_path / name), limits=(40.0,), episodes=1)
        for name in ("plain", "other", "fork")
    ]
    for job, own in zip(jobs, (None, server, server), strict=True):
        said: queue.Queue[dict[str, Any] | ProcessExit] = queue.Queue()
        WorkerProcess(WorkItem(job, "both", False, device="cpu"), said.put, server=own)
        while not isinstance(message := said.get(timeout=300), ProcessExit):
            pass
        assert message.status == 0, message.stderr_tail
    runs = [Run.of(job) for job in jobs]
    for job, run in zip(jobs[1:], runs[1:], strict=True):
        assert same(runs[0].checkpoint(), run.checkpoint())
        assert losses(jobs[0]) == losses(job)
        assert runs[0].episodes(40.0, 1) == run.episodes(40.0, 1)
