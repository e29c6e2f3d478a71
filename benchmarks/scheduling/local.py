"""Processes on this machine: one of one thread for each piece of work."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections import deque
from collections.abc import Sequence

from benchmarks.scheduling.fork_server import WORKER, Server
from benchmarks.scheduling.protocol import Ended, Heard, Piece

_TAIL = 40
"""Lines of what a process printed that are kept, for the one that dies."""
_ENVIRONMENT = {
    # one thread a process: two beside another job are many times slower than one
    **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "TORCH")},
    # keep large buffers instead of asking the system for them at each update
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "PYTHONFAULTHANDLER": "1",  # a segmentation fault says where it was
}


class WorkerProcess:
    """A process that works on one piece; what it says goes to `heard`, its end last."""

    def __init__(
        self,
        piece: Piece,
        heard: Heard,
        *,
        command: Sequence[str] = WORKER,
        environment: dict[str, str] | None = None,
        server: Server | None = None,
    ) -> None:
        """A fork of `server`, while there is one; otherwise `command`, started afresh."""
        self._line, self._heard = piece.work.to_json(), heard
        self._tail: deque[str] = deque(maxlen=_TAIL)
        variables = {**os.environ, **_ENVIRONMENT, **(environment or visible(piece.place))}
        self._process = (server and server.start(variables)) or subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=variables,
            start_new_session=True,  # Ctrl-C is the runner's to pass on
        )
        self._reader = threading.Thread(target=self._read_errors, daemon=True)
        self._reader.start()
        threading.Thread(target=self._listen, daemon=True).start()

    def stop(self) -> None:
        """Ask it to save what it has and end."""
        self._process.terminate()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        self._tail.extend(self._process.stderr)

    def _listen(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(self._line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it died at once; its exit status says why
        for line in self._process.stdout:
            try:
                self._heard(json.loads(line))
            except ValueError:
                continue
        status = self._process.wait()
        self._reader.join(timeout=1.0)  # a grandchild may hold the pipe for longer
        self._heard(Ended(status, "".join(list(self._tail))))


def visible(place: str) -> dict[str, str]:
    """What shows a process the one GPU of its place, or none.

    The number of a place counts within the GPUs that this process may see itself.
    """
    if not place.startswith("cuda:"):
        return {"CUDA_VISIBLE_DEVICES": ""}
    number = place.removeprefix("cuda:")
    mine = os.environ.get("CUDA_VISIBLE_DEVICES")
    return {"CUDA_VISIBLE_DEVICES": mine.split(",")[int(number)].strip() if mine else number}
