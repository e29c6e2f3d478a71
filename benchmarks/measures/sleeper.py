"""A worker without torch that sleeps for the number of seconds in its job's `command`."""

import json
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    job = json.loads(sys.stdin.readline())
    time.sleep(float(job["command"]))
    folder = Path(job["source"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "training.json").write_text("{}")
    # as a worker ends (`benchmarks.runs.worker.EXIT`), which would take seconds to import
    print(json.dumps({"phase": "exit", "status": 0}))
