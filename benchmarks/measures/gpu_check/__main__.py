"""`python -m benchmarks.measures.gpu_check`: check a machine with a GPU, in minutes.

The machine needs torch, but neither a network nor simulators. `--device cpu` rehearses the check
with small sizes. `make gpu-check` runs it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.errors import UserError, exit_status
from benchmarks.common.files import require_writable, write_atomic
from benchmarks.common.hardware import available_cores, devices
from benchmarks.common.os_env import import_path
from benchmarks.measures.gpu_check.packages import missing, use_wheels
from benchmarks.measures.gpu_check.stages import (
    Record,
    Stage,
    Status,
    run_stages,
    stop_at_sigterm,
)

PROGRAM = "python -m benchmarks.measures.gpu_check"
_NUMERIC = ("torch", "numpy", "h5py", "pandas", "filelock")
_CHECKED = (*_NUMERIC, "scipy", "tqdm", "matplotlib", "pytest", "gymnasium", "osrl", "pynvml")
_TESTS = Path(__file__).resolve().parents[3] / "tests" / "gpu"
STAGES = ("tests", "speed", "waits", "training")
_MINUTES, _REHEARSAL = 8.0, 4.0
"""Time of a call, and how many times as long a rehearsal may take: it shares a CPU with others."""


def stages(device: str, folder: Path, data: str) -> list[Stage]:
    """The parts of the check in their order; 8 minutes in all on a GPU."""
    rehearsal = device == "cpu"
    longer = _REHEARSAL if rehearsal else 1.0
    where = ("--device", device, "--data", data, "--out", str(folder))
    own = "benchmarks.measures.gpu_check"
    return [
        Stage(
            "tests",
            100.0 * longer,
            (
                *("-m", "pytest", str(_TESTS), "-m", "not gpu" if rehearsal else "gpu"),
                *("-v", "-p", "no:cacheprovider", "-p", "tests.support.passed"),
                *("--record", str(folder / "tests.txt"), *_parallel(rehearsal)),
            ),
            (*_NUMERIC, "pytest"),
        ),
        Stage("speed", 180.0 * longer, ("-m", f"{own}.speed", *where), _NUMERIC),
        Stage("waits", 60.0 * longer, ("-m", f"{own}.waits", *where), _NUMERIC),
        Stage("training", 140.0 * longer, ("-m", f"{own}.training", *where), (*_NUMERIC, "tqdm")),
    ]


def _parallel(rehearsal: bool) -> tuple[str, ...]:
    """Options of pytest that run tests side by side; the machine of a GPU has many cores."""
    if rehearsal or missing("xdist"):
        return ()
    return ("-n", str(max(1, min(8, available_cores() // 2))))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog=PROGRAM, description=__doc__.splitlines()[0])
    made.add_argument("--device", default="cuda", help="cuda, cuda:0, or cpu to rehearse")
    made.add_argument(
        "--out", type=Path, help="folder of the results; default: results/my-gpu-check-<device>"
    )
    made.add_argument(
        "--data",
        default="",
        help="generated, dsrl or a folder: data of BallRun and CarRun; default: generated if they "
        "are there, otherwise made-up data, with which nothing is trained for long",
    )
    made.add_argument(
        "--wheels", type=Path, default=Path("wheels"), help="folder of wheels for what is missing"
    )
    made.add_argument(
        "--minutes", type=float, help="time of this call; default: 8, and 32 for a rehearsal"
    )
    made.add_argument(
        "--skip", nargs="+", default=[], choices=STAGES, metavar="STAGE", help=", ".join(STAGES)
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0 if nothing failed or is left to do, 1 otherwise, 2 for wrong input, 130 for
    Ctrl-C and SIGTERM.
    """
    return exit_status(lambda: _run(parser().parse_args(arguments)))


def _run(args: argparse.Namespace) -> int:
    minutes = args.minutes
    if minutes is None:
        minutes = _MINUTES * (_REHEARSAL if args.device == "cpu" else 1.0)
    if not minutes > 0:
        raise UserError(f"--minutes must be more than 0, not {minutes:g}")
    folder = (
        args.out or Path("results") / f"my-gpu-check-{args.device.replace(':', '-')}"
    ).resolve()
    require_writable(folder)
    site = folder / "site"
    unpacked = use_wheels(args.wheels, site)
    if missing("torch"):
        raise UserError("torch is not installed in this Python: name another by make PYTHON=...")
    devices(args.device)
    write_atomic(folder / "machine.json", json.dumps(_machine(args.device, unpacked), indent=1))
    paths = [*import_path()["PYTHONPATH"].split(os.pathsep), str(site)]
    environment = {
        "PYTHONPATH": os.pathsep.join(paths),
        "OSRL_BENCH_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if args.device == "cpu":
        environment["OMP_NUM_THREADS"] = "1"
    stop_at_sigterm()
    records = run_stages(
        stages(args.device, folder, args.data),
        folder,
        args.device,
        seconds=60.0 * minutes,
        skip=args.skip,
        missing=missing,
        environment=environment,
        report=lambda line: print(line, flush=True),
    )
    print(_summary(records, folder))
    return int(any(record.status not in (Status.PASSED, Status.SKIPPED) for record in records))


def _machine(device: str, unpacked: Sequence[str]) -> dict[str, object]:
    """What the check found here."""
    import torch

    gpu = torch.cuda.get_device_properties(device) if device != "cpu" else None
    return {
        "device": device,
        "gpu": gpu and f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "missing": [module for module in _CHECKED if missing(module)],
        "from wheels": list(unpacked),
    }


def _summary(records: Sequence[Record], folder: Path) -> str:
    lines = [f"{one.stage:9} {one.status:11} {one.seconds:6.1f} s  {one.reason}" for one in records]
    return "\n".join(["", *lines, f"results: {folder}"])


if __name__ == "__main__":
    sys.exit(main())
