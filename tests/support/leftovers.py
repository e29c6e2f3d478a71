"""Code that leaves behind what keeps a process alive, and what tells that it did."""

from __future__ import annotations

import os
from pathlib import Path

KINDS = ("thread", "pool", "child", "daemon", "fork", "handler", "deaf handler", "signal")
"""What `leave` can leave behind."""

CODE = '''
import atexit, ctypes, multiprocessing, os, signal, subprocess, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SLEEPER = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
STARTER = """
import subprocess, sys
print(subprocess.Popen(sys.argv[1:], stdout=2, start_new_session=True).pid)
"""
MINE = Path(__file__).with_name("left")


def note(pid):
    """Record a child."""
    with MINE.open("a") as file:
        file.write(f"{pid}\\n")


def leave(kind):
    """Leave one kind of thing behind."""
    if kind == "thread":
        threading.Thread(target=time.sleep, args=(600,)).start()
    elif kind == "pool":
        ThreadPoolExecutor(1).submit(time.sleep, 600)
    elif kind == "child":  # holds the pipes of this process open
        note(subprocess.Popen(SLEEPER).pid)
    elif kind == "daemon":  # in a session of its own, and its parent is gone
        starter = [sys.executable, "-S", "-c", STARTER, *SLEEPER]
        note(subprocess.run(starter, stdout=subprocess.PIPE, text=True).stdout)
    elif kind == "fork":
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
        child.start()
        note(child.pid)
    elif kind == "handler":
        atexit.register(time.sleep, 600)
    elif kind == "deaf handler":  # holds the global lock while it sleeps
        atexit.register(ctypes.PyDLL(None).sleep, 600)
    elif kind == "signal":
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        threading.Thread(target=time.sleep, args=(600,)).start()
'''


def survivors(folder: Path) -> list[int]:
    """The children that CODE in `folder` has left and that are still alive."""
    path = folder / "left"
    pids = [int(line) for line in path.read_text().split()] if path.exists() else []
    return [pid for pid in pids if _alive(pid)]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
