"""The check's stage of waits: where updates between two log points wait for the GPU.

Writes a record of each method into the folder `waits`, and the profiler's trace of GAS.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from benchmarks.common.errors import UserError, describe, exit_status
from benchmarks.common.files import write_atomic
from benchmarks.measures.gpu_check.setting import TASKS, Setting, setting
from benchmarks.measures.waits import count_waits
from benchmarks.methods.names import BUILT_IN

_TRACED = "gas"


def measure(asked: Setting, names: Sequence[str]) -> list[str]:
    """Count the waits of the methods that the folder lacks; the faults of those that fail."""
    folder = asked.out / "waits"
    folder.mkdir(parents=True, exist_ok=True)
    data, task = asked.trajectories(TASKS[0])
    faults = []
    for name in names:
        path = folder / f"{name}.json"
        if not path.exists():
            trace = folder / f"{name}-trace.json.gz" if name == _TRACED else None
            try:
                waits = count_waits(
                    name, data, task, budget=asked.budget, device=asked.device, trace=trace
                )
            except UserError as error:  # a package is missing
                print(f"{name}: skipped, {error}", flush=True)
                continue
            except Exception as error:
                faults.append(f"{name} failed: {describe(error)}")
                print(faults[-1], flush=True)
                continue
            write_atomic(path, json.dumps(waits.record(), indent=1) + "\n")
        content = json.loads(path.read_text())
        counts = ", ".join(f"{count} {what}" for what, count in content["waits"].items())
        print(f"{name}: {counts or 'no waits'} in {content['updates']} updates", flush=True)
    return faults


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 1 if a method failed."""

    def work() -> int:
        faults = measure(setting("waits", arguments), list(BUILT_IN))
        if faults:
            print("; ".join(faults))
        return int(bool(faults))

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
