"""`python -m benchmarks.speed train|rollout|data`: times beside osrl's, one thread each."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.data.source import choose
from benchmarks.data.trajectories import Trajectories
from benchmarks.errors import UserError, exit_status, unknown_name
from benchmarks.files import replacing
from benchmarks.machine import available_cores
from benchmarks.speed.loading import compare_loading
from benchmarks.speed.rollouts import ROLLOUTS, compare_rollouts
from benchmarks.speed.timing import Comparison
from benchmarks.speed.training import CASES, compare_training
from benchmarks.tasks import find_task


def table(results: Sequence[Comparison]) -> str:
    """Markdown: medians in milliseconds, the median ratio with its least and most, memory."""
    lines = [
        "| | ours, ms | osrl, ms | ratio | least to most | ours, MiB | osrl, MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        r = result.record()
        memory = ["" if m is None else f"{m:.0f}" for m in (r["ours_mib"], r["reference_mib"])]
        times = [f"{r['ours_ms']:.3g}", f"{r['reference_ms']:.3g}", f"{r['ratio']:.2f}"]
        spread = f"{r['ratio_least']:.2f} to {r['ratio_most']:.2f}"
        name = result.name if result.unit == "update" else f"{result.name}, {result.unit}"
        lines.append("| " + " | ".join([name, *times, spread, *memory]) + " |")
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    """What the times depend on besides the code."""
    model = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).is_file():
        names = [
            line.split(":")[1] for line in info.read_text().splitlines() if "model name" in line
        ]
        model = names[0].strip() if names else model
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    features = torch.backends.cpu.get_cpu_capability()
    return {"processor": model, "features": features, "cores": available_cores(), **versions}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    known = {"train": list(CASES), "rollout": list(ROLLOUTS), "data": []}
    helps = {
        "train": "updates of every method",
        "rollout": "evaluation episodes, and the simulator by itself",
        "data": "reading, packing and batches",
    }
    for name, cases in known.items():
        command = commands.add_parser(name, help=helps[name])
        command.add_argument("--task", default="CarCircle", help="whose data and simulator")
        command.add_argument("--data", default="auto", help='"auto", "dsrl", "generated", a folder')
        command.add_argument("--rounds", type=int, default=7, help="turns of either side")
        command.add_argument("--seconds", type=float, default=0.5, help="of a side in a round")
        command.add_argument("--out", type=Path, metavar="FILE", help="write the results as JSON")
        if cases:
            command.add_argument(
                "--cases", nargs="+", default=cases, help=f"of: {', '.join(cases)}; all by default"
            )
        if name == "train":
            command.add_argument("--budget", default="paper", help="whose options are taken")
            command.add_argument("--batch", type=int, help="for all; else 512, and 256 beside cdt")
            command.add_argument("--memory", action="store_true", help="measure peak memory too")
        if name == "rollout":
            command.add_argument("--episodes", type=int, default=10, help="at each of three limits")
    return parser


def measure(args: argparse.Namespace) -> list[Comparison]:
    """The comparisons that the command line asks for."""
    if min(args.rounds, args.seconds) <= 0:
        raise UserError("--rounds and --seconds must be positive")
    task = find_task(args.task)
    (found,) = choose(args.data, [task])
    if not found.present:
        raise UserError(
            f"no data of {task.name} at hand: `python -m benchmarks.data generate {task.name}`"
        )
    for name in vars(args).get("cases", []):
        if name not in (known := CASES if args.command == "train" else ROLLOUTS):
            raise unknown_name("case", name, known)
    turns = {"rounds": args.rounds, "seconds": args.seconds}
    if args.command == "data":
        return compare_loading(found.path, **turns)
    data = Trajectories.load(found.path, found.source)
    if args.command == "rollout":
        return compare_rollouts(args.cases, data, task, episodes=args.episodes, **turns)
    more = {"budget": args.budget, "batch": args.batch, "memory": args.memory}
    return compare_training(args.cases, data, task, **more, **turns)


def _run(args: argparse.Namespace) -> int:
    torch.set_num_threads(1)
    results = measure(args)
    print(table(results))
    if args.out:
        options = {k: str(v) for k, v in vars(args).items() if k != "out"}
        content = {
            "options": options,
            "machine": machine(),
            "results": [result.record() for result in results],
        }
        args.out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(args.out) as path:
            path.write_text(json.dumps(content, indent=1) + "\n")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Entry point; the exit status."""
    args = _parser().parse_args(arguments)
    return exit_status(lambda: _run(args))


if __name__ == "__main__":
    sys.exit(main())
