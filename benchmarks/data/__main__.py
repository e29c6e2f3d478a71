"""`python -m benchmarks.data`: list and make data sets, train behaviour policies."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.data.generated import generate
from benchmarks.data.snapshots import save_snapshots, shipped_tasks
from benchmarks.data.source import cache_folder, choose, dsrl_folder
from benchmarks.data.trajectories import Trajectories
from benchmarks.errors import UserError
from benchmarks.machine import available_cores
from benchmarks.tasks import TASKS, find_task


def list_data() -> None:
    """Print for every task which data are at hand."""
    print(f"published files: {dsrl_folder()}; generated files: {cache_folder()}")
    for task in TASKS.values():
        published = choose("dsrl", [task])[0].present
        if choose("generated", [task])[0].present:
            made = "at hand"
        else:
            made = "can be made" if task.name in shipped_tasks() else "no behaviour policy"
        print(
            f"{task.name:13} published: {'at hand' if published else 'missing':8} generated: {made}"
        )


def make(names: Sequence[str]) -> None:
    """Generate the sets of these tasks, all that can be made if none is named."""
    tasks = [find_task(name) for name in names or shipped_tasks()]
    for task in tasks:
        if task.name not in shipped_tasks():
            raise UserError(
                f"no behaviour policy of {task.name} is shipped: "
                f"train one with `python -m benchmarks.data train-behaviour {task.name}`"
            )
    for task in tasks:
        with tqdm(desc=task.name, unit=" episodes", mininterval=1.0) as bar:

            def progress(done: int, total: int, bar: tqdm[None] = bar) -> None:  # type: ignore[assignment]
                bar.total = total
                bar.update(done - bar.n)

            path = generate(task, cache_folder(), processes=available_cores(), progress=progress)
        print(summary(Trajectories.load(path, "generated"), task.max_cost))


def summary(data: Trajectories, max_cost: float) -> str:
    """One line: episodes, ranges, and how many episodes lie in each tenth of the cost range."""
    tenths, _ = np.histogram(data.episode_costs, np.linspace(0.0, max_cost, 11))
    return (
        f"  {len(data)} episodes, {len(data.rewards)} transitions; returns "
        f"{data.returns.min():.1f} to {data.returns.max():.1f}; costs "
        f"{data.episode_costs.min():g} to {data.episode_costs.max():g}; by tenth of the cost range "
        f"{' '.join(map(str, tenths))}"
    )


def train(name: str, steps: int, folder: Path, seed: int) -> None:
    """Train behaviour policies of a task, resuming where an earlier call stopped."""
    import torch  # seconds, for this verb alone

    from benchmarks.data.behaviour import train_behaviour

    task = find_task(name)
    torch.set_num_threads(1)
    recent: list[tuple[float, float, float]] = []
    with tqdm(total=steps, unit=" steps", mininterval=2.0) as bar:

        def report(done: int, episodes: list[tuple[float, float, float]]) -> None:
            recent.extend(episodes)
            del recent[:-200]
            bar.update(done - bar.n)
            bar.set_postfix_str(_frontier(recent), refresh=False)

        checkpoint = folder / f"{name}.pt"
        snapshots = train_behaviour(task, steps, checkpoint, seed=seed, report=report)
    path = folder / f"{name}.npz"
    save_snapshots(path, snapshots)
    print(f"{len(snapshots)} snapshots in {path}; shipped ones lie in benchmarks/data/snapshots/")


def _frontier(episodes: Sequence[tuple[float, float, float]]) -> str:
    """Mean return@cost in five ranges of preference, from reward-seeking to safe."""
    table = np.array(episodes)
    parts = []
    for low in np.arange(0.0, 1.0, 0.2):
        own = table[(table[:, 0] >= low) & (table[:, 0] < low + 0.2)]
        parts.append(f"{own[:, 1].mean():.0f}@{own[:, 2].mean():.0f}" if len(own) else "-")
    return " ".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list", help="which data are at hand")
    verb = verbs.add_parser("generate", help="make data sets from shipped behaviour policies")
    verb.add_argument("tasks", nargs="*", help="default: all that can be made")
    verb = verbs.add_parser("train-behaviour", help="train behaviour policies of a task")
    verb.add_argument("task")
    verb.add_argument("--steps", type=int, default=1_000_000)
    verb.add_argument("--seed", type=int, default=0)
    verb.add_argument("--out", type=Path, default=Path("behaviour"), help="default: behaviour/")
    args = parser.parse_args(arguments)
    try:
        if args.verb == "list":
            list_data()
        elif args.verb == "generate":
            make(args.tasks)
        else:
            train(args.task, args.steps, args.out, args.seed)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped: run the same command again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
