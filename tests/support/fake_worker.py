"""A worker without torch, that starts in no time: it does what the job's `source` says.

`data` is the folder of the run. Words: "sleep S", "exit N", "signal N", "once" (what follows
happens at the first try only), "memory N" (tells it), "capacity N" (exits as out of memory when
the numbers that live neighbours in the same place hold exceed it).
"""

import json
import os
import signal
import sys
import time
from pathlib import Path


def main() -> None:
    job = json.loads(sys.stdin.readline())
    folder = Path(job["data"])
    folder.mkdir(parents=True, exist_ok=True)
    place = os.environ["CUDA_VISIBLE_DEVICES"] or "cpu"
    words = iter(job["source"].split())
    tries = folder / "tries"
    first = not tries.exists()
    with tries.open("a") as file:
        file.write(f"{job['stage']} {job['device']} {place}\n")
    for word in words:
        if word == "once":
            if not first:
                break
        elif word == "sleep":
            time.sleep(float(next(words)))
        elif word == "exit":
            leave(int(next(words)))
        elif word == "signal":
            print("last words", file=sys.stderr, flush=True)
            os.kill(os.getpid(), int(next(words)))
            time.sleep(5.0)
        elif word == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        elif word == "memory" and place != "cpu":
            size, capacity = int(next(words)), int(next(words))
            hold(folder.parent / f"gpu-{place}", size, capacity)
    if job["stage"] != "evaluate":
        (folder / "training.json").write_text("{}")
    if job["stage"] != "train":
        for limit in job["limits"]:
            (folder / f"evaluation-{limit:.10g}x{job['episodes']}.json").write_text("{}")
    leave(0)


def leave(status: int) -> None:
    """State the exit status, as a worker does, and exit."""
    print(json.dumps({"phase": "exit", "status": status}), flush=True)
    sys.exit(status)


def hold(gpu: Path, size: int, capacity: int) -> None:
    """Take memory of a made-up GPU for a moment; exit where there is not enough."""
    gpu.mkdir(exist_ok=True)
    mine = gpu / str(os.getpid())
    mine.write_text(str(size))
    taken = 0
    for held in gpu.iterdir():
        try:
            taken += int(held.read_text() or 0)
        except OSError:
            continue
    if taken > capacity:
        mine.unlink()
        leave(6)
    print(json.dumps({"phase": "train", "done": 0.5, "memory": size}), flush=True)
    time.sleep(0.05)
    mine.unlink()


main()
