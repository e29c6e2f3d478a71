"""Locks: held by one, waited for with a word, and never by a child of their holder."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from benchmarks.common import locks
from benchmarks.common.errors import UserError
from benchmarks.common.locks import HeldError, locked, require_locks, waiting_lock
from tests.support.runs import wait_for

FORK = multiprocessing.get_context("fork")


def test_one_holds_it_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"), pytest.raises(HeldError), locked(tmp_path / "lock"):
        pass
    with locked(tmp_path / "lock"):
        pass


def hold_and_fork(path: Path) -> None:
    """Hold a lock, leave a child behind, and be killed."""
    with locked(path):
        child = FORK.Process(target=time.sleep, args=(600,))
        child.start()
        path.with_name("child").write_text(str(child.pid))
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_child_does_not_hold_the_lock_of_its_killed_parent(tmp_path: Path) -> None:
    holder = FORK.Process(target=hold_and_fork, args=(tmp_path / "lock",))
    holder.start()
    holder.join()
    child = int((tmp_path / "child").read_text())
    try:
        with locked(tmp_path / "lock"):
            os.kill(child, 0)  # it lives
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_wait_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(locks, "_QUIET_SECONDS", 0.0)
    path, entered = tmp_path / "lock", threading.Event()

    def wait() -> None:
        with waiting_lock(path, "makes a file"):
            entered.set()

    with locked(path):
        waiter = threading.Thread(target=wait)
        waiter.start()
        told = wait_for(lambda: capsys.readouterr().err)
        assert not entered.wait(0.3)
    waiter.join()
    assert told.startswith("waiting since 2")
    assert f"for another process that makes a file (it holds {path};" in told
    assert told.count("\n") == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told_with_a_remedy(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(UserError, match=f"{tmp_path} is on a file system without locks"):
        require_locks(tmp_path)
    assert list(tmp_path.iterdir()) == []
