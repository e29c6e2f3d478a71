"""Worker processes on this machine: one single-threaded process for each work item."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from benchmarks.common.ending import END_SECONDS, kill_group
from benchmarks.runs.jobs import ExitStatus
from benchmarks.runs.log import log
from benchmarks.runs.store import Run
from benchmarks.runs.worker import EXIT
from benchmarks.scheduling.fork_server import WORKER, ForkServer
from benchmarks.scheduling.protocol import OnMessage, ProcessExit, WorkItem

_TAIL_LINES = 40
"""Lines of a process's error output that are kept, to explain a crash."""
_END_SECONDS = END_SECONDS + 3.0
"""Time between the stated exit status of a process and killing it: it should end by itself."""
_PIPE_SECONDS = 5.0
"""Time to read the rest of an exited process's output."""
_ENVIRONMENT = {
    # One thread for each process: two threads beside another job are many times slower than one.
    **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "TORCH")},
    # Reuse large buffers instead of returning them to the system after every update.
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "PYTHONFAULTHANDLER": "1",  # print a traceback on a segmentation fault
}


class WorkerProcess:
    """A process that works on one item and passes its messages, and its exit, to `on_message`."""

    def __init__(
        self,
        item: WorkItem,
        on_message: OnMessage,
        *,
        command: Sequence[str] = WORKER,
        environment: dict[str, str] | None = None,
        server: ForkServer | None = None,
    ) -> None:
        """Fork the process from `server` while it runs; otherwise start `command`."""
        self._exited = threading.Event()
        self._stated: int | None = None
        """The exit status that the process has stated."""
        self._job_line, self._on_message = item.worker_job.to_json(), on_message
        self._folder = Run.of(item.worker_job).folder
        self._stderr_tail: deque[str] = deque(maxlen=_TAIL_LINES)
        variables = {**os.environ, **_ENVIRONMENT, **(environment or visible_gpu(item.device))}
        self._process = (server and server.start(variables)) or subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=variables,
            start_new_session=True,  # Ctrl-C reaches the runner only, which asks workers to stop
        )
        self._stderr_reader = threading.Thread(target=self._read_stderr, daemon=True)
        self._stderr_reader.start()
        threading.Thread(target=self._communicate, daemon=True).start()

    def stop(self) -> None:
        """Ask the process to save its progress and exit."""
        self._process.terminate()

    def kill(self) -> None:
        """Kill the process."""
        if isinstance(self._process, subprocess.Popen):
            kill_group(self._process.pid)
        else:
            self._process.kill()

    def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._stderr_tail.append(line)
            log(self._folder, line)

    def _communicate(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(self._job_line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the process died at once; its exit status tells why
        reader = threading.Thread(target=self._read_messages, daemon=True)
        reader.start()
        status = self._wait()
        self._exited.set()
        for thread in (reader, self._stderr_reader):
            thread.join(_PIPE_SECONDS)  # a grandchild may hold the pipe open for longer
        if self._stated is not None:
            status = self._stated
        elif status >= 0:
            reason = (
                f"its process exited with status {status} before the work was done: sys.exit or "
                "os._exit in the code of a plugin, a simulator or a library"
            )
            self._on_message({"phase": "failed", "reason": reason})
            status = ExitStatus.FAILED
        self._on_message(ProcessExit(status, "".join(list(self._stderr_tail))))

    def _read_messages(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                message = json.loads(line)
                phase = message["phase"]
            except (ValueError, KeyError, TypeError):
                continue
            if phase != EXIT:
                self._on_message(message)
                continue
            self._stated = int(message["status"])
            if not self._exited.wait(_END_SECONDS):
                self.kill()
            return

    def _wait(self) -> int:
        """Wait for the exit, end what else is left of a process's group; its exit status."""
        if isinstance(self._process, subprocess.Popen) and hasattr(os, "waitid"):
            with suppress(ChildProcessError):  # reaped by another thread
                os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
                kill_group(self._process.pid)
        return self._process.wait()


def visible_gpu(device: str) -> dict[str, str]:
    """CUDA_VISIBLE_DEVICES for a worker on `device`: its one GPU, or none.

    The number in `device` is an index into the GPUs that are visible to this process.
    """
    if not device.startswith("cuda:"):
        return {"CUDA_VISIBLE_DEVICES": ""}
    number = device.removeprefix("cuda:")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return {"CUDA_VISIBLE_DEVICES": visible.split(",")[int(number)].strip() if visible else number}
