"""A process that has imported what every worker needs and forks a worker for each job.

The imports take longer than the work of a short job. `ForkServer` starts this module as a child of
the runner. Each fork is reset to the state of a newly started process, and its exit status is
reported unchanged. The server exits with the runner, and its forks with the server.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.common.ending import adopt_orphans, kill_group
from benchmarks.common.os_env import set_variables
from benchmarks.common.program import as_program
from benchmarks.runs import worker

AVAILABLE = sys.platform == "linux"
"""On other systems a fork is not safe, or cannot be made to exit with its parent."""
WORKER = (sys.executable, "-m", "benchmarks.runs.worker")
"""The command of a worker that is not forked."""
_SERVER = (sys.executable, "-m", "benchmarks.scheduling.fork_server")
PRELOADED = ("torch._dynamo", "scipy.optimize", "gymnasium")
"""Modules that jobs import late: the first by torch's optimisers, the others by osrl."""
_MAX_REQUEST = 2**17
"""Maximum size of a request in bytes."""
_BLOCKED = {signal.SIGINT, signal.SIGTERM}
"""Signals that the server ignores: the runner handles them, and the server exits with it."""
_PR_SET_PDEATHSIG = 1


class ForkedProcess:
    """A child of the server, with the interface of `subprocess.Popen`."""

    def __init__(self, server: ForkServer, number: int, files: Sequence[int]) -> None:
        self._server, self._number = server, number
        self.stdin = os.fdopen(files[0], "w")
        self.stdout = os.fdopen(files[1], errors="replace")
        self.stderr = os.fdopen(files[2], errors="replace")
        self._exit_status = os.fdopen(files[3])

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._server.send({"number": self._number, "signal": signal.SIGTERM})

    def kill(self) -> None:
        """Send SIGKILL."""
        self._server.send({"number": self._number, "signal": signal.SIGKILL})

    def wait(self) -> int:
        """Exit status, negative for a signal; SIGKILL if it exited with the server."""
        return int(self._exit_status.read() or -signal.SIGKILL)


class ForkServer:
    """The process that forks workers; started with the first worker.

    `preloaded` names the modules that it imports beside those of this one.
    """

    def __init__(self, preloaded: Sequence[str] = PRELOADED) -> None:
        self._preloaded = preloaded
        self._process: subprocess.Popen[bytes] | None = None
        self._forks = 0

    def start(self, environment: Mapping[str, str]) -> ForkedProcess | None:
        """Fork a worker with this environment; None if the server has exited."""
        if self._process is None:
            self._process = self._open(environment)
        changes = {
            name: environment.get(name)
            for name in {*self._environment, *environment}
            if environment.get(name) != self._environment.get(name)
        }
        (stdin, our_stdin), *outputs = (os.pipe() for _ in range(4))
        our_ends, worker_ends = zip((our_stdin, stdin), *outputs, strict=True)
        self._forks += 1
        fork = ForkedProcess(self, self._forks, our_ends)
        sent = self.send({"number": self._forks, "environment": changes}, worker_ends)
        _close(worker_ends)
        if not sent:
            self._process.poll()  # reap the server, so that it does not stay a zombie
        return fork if sent else None

    def _open(self, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        self._channel, server_end = socket.socketpair(type=socket.SOCK_SEQPACKET)
        self._environment = dict(environment)
        with server_end:
            return subprocess.Popen(
                (*_SERVER, *self._preloaded),
                stdin=server_end.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # an import that fails here fails again in a worker
                env=self._environment,
                start_new_session=True,
            )

    def send(self, request: dict[str, Any], files: Sequence[int] = ()) -> bool:
        """Send a request; False if the server has exited."""
        try:
            socket.send_fds(self._channel, [json.dumps(request).encode()], files)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Stop the server and its forks."""
        if self._process is None:
            return
        self._channel.close()
        try:
            self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:  # it still imports, or a child does not exit
            self._process.kill()
            self._process.wait()


class _Child(NamedTuple):
    pid: int
    exit_pipe: int
    """File descriptor that its exit status is written to."""


def main() -> int:
    """Fork a worker for each request until the runner exits; return the exit status.

    The arguments of the process name the modules to import first. `main` also returns in a worker,
    when the job is done.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
    preloaded = sys.argv[1:]
    del sys.argv[1:]  # a fork has no arguments, as a worker that is started afresh
    for name in preloaded:
        with suppress(ImportError):
            importlib.import_module(name)
    single_threaded = len([*Path("/proc/self/task").iterdir()]) == 1
    gc.freeze()  # a collection in a child would copy the pages that it shares with the server
    child_exited, wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakeup)
    channel, children = socket.socket(fileno=os.dup(sys.stdin.fileno())), dict[int, _Child]()
    while True:
        ready, _, _ = select.select([child_exited, channel.fileno()], [], [])
        if child_exited in ready:
            os.read(child_exited, _MAX_REQUEST)
            _report_exits(children)
        if channel.fileno() not in ready:
            continue
        message, files, _, _ = socket.recv_fds(channel, _MAX_REQUEST, 4, socket.MSG_CMSG_CLOEXEC)
        if not message:
            break
        request = json.loads(message)
        number = request["number"]
        if "signal" not in request:
            if _fork(number, files, children):
                _close([child_exited, wakeup, channel.detach()])
                _reset_process(files, request["environment"], single_threaded)
                return worker.main()
        elif number in children:  # not reaped yet, so its process id is still its own
            if request["signal"] == signal.SIGKILL:
                kill_group(children[number].pid)
            else:
                os.kill(children[number].pid, request["signal"])
    signal.alarm(int(worker.GRACE_SECONDS) + 1)  # the children stop by themselves until then
    for child in children.values():
        os.waitpid(child.pid, 0)
    return 0


def _fork(number: int, files: Sequence[int], children: dict[int, _Child]) -> bool:
    """Fork a child that dies with this process; return True in the child."""
    server = os.getpid()
    try:
        pid = os.fork()
    except OSError:  # out of memory or processes: the closed pipe reads as SIGKILL
        _close(files)
        return False
    if pid:
        _close(files[:3])
        children[number] = _Child(pid, files[3])
        return False
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        os.kill(os.getpid(), signal.SIGKILL)
    _close([files[3], *(child.exit_pipe for child in children.values())])
    return True


def _reset_process(
    files: Sequence[int], changes: Mapping[str, str | None], single_threaded: bool
) -> None:
    """Reset a fork to the state of a new process; replace it by one if it cannot be reset.

    `single_threaded`: the server had no other threads, which a fork would lose.
    """
    os.setsid()
    adopt_orphans()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for stream, file in enumerate(files[:3]):
        os.dup2(file, stream)
    _close(files[:3])
    set_variables(changes)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _BLOCKED)
    if not single_threaded or torch.cuda._is_in_bad_fork():
        os.execv(WORKER[0], WORKER)  # an import started threads or CUDA, which no fork can share
    np.random.seed()  # Python reseeds only its own generator after a fork
    torch.default_generator.seed()


def _report_exits(children: dict[int, _Child]) -> None:
    """Reap the children that have exited and report their statuses."""
    for number, child in list(children.items()):
        if os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            kill_group(child.pid)  # what it has left behind, while its number is still its own
            _, status = os.waitpid(child.pid, 0)
            del children[number]
            with suppress(OSError):  # the runner has exited
                os.write(child.exit_pipe, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(child.exit_pipe)


def _close(files: Sequence[int]) -> None:
    for file in files:
        os.close(file)


if __name__ == "__main__":
    as_program(main)
