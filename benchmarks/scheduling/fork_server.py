"""Workers as forks of one process that has imported what every worker needs.

The imports take longer than a short job's work. `Server` runs this module as a process beside the
runner, which forks a child for each job. The child is then what a process started afresh would be,
and its end is told as it was. The server ends with the runner, and its children with the server.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.common.os_env import set_variables
from benchmarks.runs import worker

AVAILABLE = sys.platform == "linux"
"""Elsewhere a fork is not safe, or cannot be made to end with its parent."""
WORKER = (sys.executable, "-m", "benchmarks.runs.worker")
"""A worker that is started afresh."""
_SERVER = (sys.executable, "-m", "benchmarks.scheduling.fork_server")
_LATE = ("torch._dynamo", "scipy.optimize", "gymnasium")
"""What jobs import on their way: torch's optimisers the first, osrl the others."""
_MOST = 2**17
"""Bytes of a request at most."""
_HELD = {signal.SIGINT, signal.SIGTERM}
"""Signals to all processes are the runner's to pass on: the server ends with it."""
_PR_SET_PDEATHSIG = 1


class Fork:
    """A child of the server, used as a `subprocess.Popen`."""

    def __init__(self, server: Server, number: int, files: Sequence[int]) -> None:
        self._server, self._number = server, number
        self.stdin = os.fdopen(files[0], "w")
        self.stdout = os.fdopen(files[1], errors="replace")
        self.stderr = os.fdopen(files[2], errors="replace")
        self._report = os.fdopen(files[3])

    def terminate(self) -> None:
        """Ask it to end."""
        self._server.send({"number": self._number, "signal": signal.SIGTERM})

    def kill(self) -> None:
        """End it at once."""
        self._server.send({"number": self._number, "signal": signal.SIGKILL})

    def wait(self) -> int:
        """Its exit status, negative for a signal: SIGKILL where it ended with the server."""
        return int(self._report.read() or -signal.SIGKILL)


class Server:
    """The process that forks workers, started with the first of them."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._forks = 0

    def start(self, environment: Mapping[str, str]) -> Fork | None:
        """A worker with this environment; None if there is no server any more."""
        if self._process is None:
            self._process = self._open(environment)
        changes = {
            name: environment.get(name)
            for name in {*self._environment, *environment}
            if environment.get(name) != self._environment.get(name)
        }
        (stdin, our_stdin), *outputs = (os.pipe() for _ in range(4))
        ours, theirs = zip((our_stdin, stdin), *outputs, strict=True)
        self._forks += 1
        fork = Fork(self, self._forks, ours)
        taken = self.send({"number": self._forks, "environment": changes}, theirs)
        _close(theirs)
        if not taken:
            self._process.poll()  # leave no zombie
        return fork if taken else None

    def _open(self, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        self._channel, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        self._environment = dict(environment)
        with theirs:
            return subprocess.Popen(
                _SERVER,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # what fails there fails, and is told, in a worker
                env=self._environment,
                start_new_session=True,
            )

    def send(self, request: dict[str, Any], files: Sequence[int] = ()) -> bool:
        """Pass a request on; False if there is no server any more."""
        try:
            socket.send_fds(self._channel, [json.dumps(request).encode()], files)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """End the server, and what it has forked."""
        if self._process is None:
            return
        self._channel.close()
        try:
            self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:  # it is importing still, or a child does not end
            self._process.kill()
            self._process.wait()


class _Child(NamedTuple):
    pid: int
    report: int
    """Where its end is told."""


def main() -> int:
    """Fork a worker for each request until the runner is gone; what to exit with.

    In a worker it returns too, when the job is done.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
    for name in _LATE:
        with suppress(ImportError):
            importlib.import_module(name)
    alone = len([*Path("/proc/self/task").iterdir()]) == 1
    gc.freeze()  # a collection in a child would copy what it shares
    woken, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker)
    channel, children = socket.socket(fileno=os.dup(sys.stdin.fileno())), dict[int, _Child]()
    while True:
        ready, _, _ = select.select([woken, channel.fileno()], [], [])
        if woken in ready:
            os.read(woken, _MOST)
            _tell_ends(children)
        if channel.fileno() not in ready:
            continue
        message, files, _, _ = socket.recv_fds(channel, _MOST, 4, socket.MSG_CMSG_CLOEXEC)
        if not message:
            break
        request = json.loads(message)
        number = request["number"]
        if "signal" not in request:
            if _fork(number, files, children):
                _close([woken, waker, channel.detach()])
                _become_fresh(files, request["environment"], alone)
                return worker.main()
        elif number in children:  # not waited for yet: nobody else has its process id
            os.kill(children[number].pid, request["signal"])
    signal.alarm(int(worker.GRACE) + 1)  # the children have seen too that the runner is gone
    for child in children.values():
        os.waitpid(child.pid, 0)
    return 0


def _fork(number: int, files: Sequence[int], children: dict[int, _Child]) -> bool:
    """Fork a child; True in the child, which ends with this process."""
    server = os.getpid()
    try:
        pid = os.fork()
    except OSError:  # no memory or processes are left: told as an end from outside
        _close(files)
        return False
    if pid:
        _close(files[:3])
        children[number] = _Child(pid, files[3])
        return False
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        os.kill(os.getpid(), signal.SIGKILL)
    _close([files[3], *(child.report for child in children.values())])
    return True


def _become_fresh(files: Sequence[int], changes: Mapping[str, str | None], alone: bool) -> None:
    """Make a fork what a process started afresh would be; `alone`: no thread is lost by it."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for stream, file in enumerate(files[:3]):
        os.dup2(file, stream)
    _close(files[:3])
    set_variables(changes)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)
    if not alone or torch.cuda._is_in_bad_fork():
        os.execv(WORKER[0], WORKER)  # an import has left what no fork can share
    np.random.seed()  # Python's own generator does so in every fork
    torch.default_generator.seed()


def _tell_ends(children: dict[int, _Child]) -> None:
    """Report how those children ended that did."""
    for number, child in list(children.items()):
        pid, status = os.waitpid(child.pid, os.WNOHANG)
        if pid:
            del children[number]
            with suppress(OSError):  # the runner is gone
                os.write(child.report, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(child.report)


def _end(status: int) -> None:
    """Exit as Python does, but without taking apart what is shared, which costs half a second."""
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.current_thread():
            thread.join()
    atexit._run_exitfuncs()
    for one in gc.get_objects():
        if issubclass(type(one), io.IOBase):
            with suppress(Exception):  # closed, or not for writing
                one.flush()
    ctypes.CDLL(None).fflush(None)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _close(files: Sequence[int]) -> None:
    for file in files:
        os.close(file)


if __name__ == "__main__":
    _end(main())
