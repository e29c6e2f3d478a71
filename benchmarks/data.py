"""`python -m benchmarks.data`: list, fetch, make, verify and look at data sets."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.common.errors import UserError, exit_status
from benchmarks.common.files import write_atomic
from benchmarks.datasets.custom_task import resolve_task
from benchmarks.datasets.generation.policies import save_snapshots, shipped_tasks
from benchmarks.datasets.source import (
    DataSet,
    Network,
    cache_folder,
    choose,
    dsrl_folder,
    obtain,
    usable,
)
from benchmarks.datasets.summary import Summary, draw, summarise
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.datasets.verify import examine
from benchmarks.tasks.tasks import ALL_TASKS, TASKS, Task, find_task

Episode = tuple[float, float, float]
"""Preference, return and cost of a training episode."""
_PREFERENCES = ("0-0.2", "0.2-0.4", "0.4-0.6", "0.6-0.8", "0.8-1")


def list_data() -> None:
    """Print for every task which data are at hand."""
    print(f"published files: {dsrl_folder()}; fetched and generated files: {cache_folder()}")
    for task in ALL_TASKS.values():
        published, generated = choose("dsrl", [task])[0], choose("generated", [task])[0]
        if generated.present:
            made = "at hand"
        else:
            made = "can be made" if task.name in shipped_tasks() else "no behaviour policy"
        there = "at hand" if published.present else "missing"
        suites = "in the suites" if task.name in TASKS else ""
        print(f"{task.name:20} published: {there:8} generated: {made:20} {suites}".rstrip())


def fetch(tasks: Sequence[Task], network: Network) -> None:
    """Fetch the published files of `tasks` that are not at hand."""
    if not network.mirrors:
        raise UserError("fetch needs the network: leave --offline and OSRL_BENCH_OFFLINE away")
    for one in obtain(choose("dsrl", tasks), network):
        one.checksum()
        print(f"{one.task.name}: {one.path}")


def make(tasks: Sequence[Task], record: Path | None) -> None:
    """Generate the sets of `tasks` and print what is in them; figures to `record`, too."""
    _recorded(record)  # before the work
    sets, network = choose("generated", tasks), Network()
    usable(sets, network, skip=False)
    figures = {}
    for one in sets:
        obtain([one], network)
        data = _load_whole(one)
        summary = summarise(data, one.task)
        print(f"{summary.line()}; {one.path.stat().st_size / 1e6:.1f} MB: {one.path}")
        figures[one.task.name] = _figures(one, summary)
    if record:
        content = _recorded(record) | figures
        write_atomic(record, json.dumps(content, indent=1, sort_keys=True) + "\n")


def _recorded(record: Path | None) -> dict[str, Any]:
    """The figures kept so far."""
    if record is None:
        return {}
    _require_folder_of(record, "--record")
    try:
        known = json.loads(record.read_text()) if record.exists() else {}
    except (OSError, ValueError) as error:
        raise UserError(f"--record {record}: no JSON file ({error})") from None
    if not isinstance(known, dict):
        raise UserError(f"--record {record}: it holds something else than figures by task")
    return known


def _require_folder_of(path: Path, option: str) -> None:
    if not path.parent.is_dir():
        raise UserError(f"{option} {path}: there is no folder {path.parent}")


def _figures(one: DataSet, summary: Summary) -> dict[str, Any]:
    """What is kept of a set beside the snapshots it is made from."""
    # JSON has no NaN
    figures: dict[str, Any] = json.loads(json.dumps(asdict(summary)), parse_constant=lambda _: None)
    figures["file"], figures["bytes"] = one.path.name, one.path.stat().st_size
    figures["sha256"] = one.checksum()
    return figures


def _load_whole(one: DataSet) -> Trajectories:
    """The data of a set, checked."""
    if faults := examine(one.path, one.task).faults:
        raise UserError(f"{one.path}: {faults[0]}")
    return Trajectories.load(one.path, one.source)


def verify(path: Path, name: str | None) -> int:
    """Print what is wrong with a file, a line each; 1 if it cannot be used."""
    task = resolve_task(name) if name else _task_of(path)
    if not path.is_file():
        raise UserError(f"{path}: no such data file")
    faults, warnings = examine(path, task)
    for kind, lines in (("fault", faults), ("warning", warnings)):
        for line in lines:
            print(f"{path}: {kind}: {line}")
    if not faults:
        data = Trajectories.load(path, "file")
        print(f"{path}: a whole data set. {summarise(data, task).line()}; sha256 {data.checksum}")
    return 1 if faults else 0


def _task_of(path: Path) -> Task:
    for task in ALL_TASKS.values():
        if path.name in (task.dataset_file, choose("generated", [task])[0].path.name):
            return task
    raise UserError(f"{path.name} is not the name of a task's file: say which by --task")


def inspect(tasks: Sequence[Task], data: str, network: Network, out: Path) -> None:
    """Print what the data of `tasks` hold by cost, and draw it."""
    if out.suffix not in (".png", ".svg", ".pdf"):
        raise UserError(f"--out {out}: a picture's name ends in .png, .svg or .pdf")
    _require_folder_of(out, "--out")
    sets, _ = usable(choose(data, tasks, network), network, skip=False)
    loaded = [(one.task, _load_whole(one)) for one in obtain(sets, network)]
    for task, trajectories in loaded:
        summary = summarise(trajectories, task)
        print(f"{summary.line()}\n\n{summary.table()}\n")
    draw(loaded, out)
    print(f"picture: {out}")


def train(name: str, steps: int | None, folder: Path, seed: int) -> None:
    """Train behaviour policies of a task, resuming where an earlier call stopped."""
    import torch  # seconds, for this verb alone

    from benchmarks.datasets.generation.ppo import STEPS, train_behaviour

    task = find_task(name)
    steps = STEPS.get(name, 1_000_000) if steps is None else steps
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    recent: list[Episode] = []
    with (
        (folder / f"{name}.csv").open("a", buffering=1) as file,
        tqdm(total=steps, unit=" steps", mininterval=2.0) as bar,
    ):
        curve = csv.writer(file, lineterminator="\n")
        if file.tell() == 0:
            curve.writerow(["steps", *(f"return@cost at preference {p}" for p in _PREFERENCES)])

        def report(done: int, episodes: list[Episode]) -> None:
            recent.extend(episodes)
            del recent[:-200]
            curve.writerow([done, *frontier(episodes)])
            bar.update(done - bar.n)
            bar.set_postfix_str(" ".join(frontier(recent)), refresh=False)

        checkpoint = folder / f"{name}.pt"
        snapshots = train_behaviour(task, steps, checkpoint, seed=seed, report=report)
    path = folder / f"{name}.npz"
    save_snapshots(path, snapshots)
    print(
        f"{len(snapshots)} snapshots in {path}; "
        "shipped ones lie in benchmarks/datasets/generation/snapshots/"
    )


def frontier(episodes: Sequence[Episode]) -> list[str]:
    """Mean return@cost in five ranges of preference, from reward-seeking to safe."""
    table = np.array(episodes).reshape(-1, 3)
    parts = []
    for low, high in pairwise(np.linspace(0.0, 1.0, len(_PREFERENCES) + 1)):
        own = table[(table[:, 0] >= low) & (table[:, 0] < high)]
        parts.append(f"{own[:, 1].mean():.4g}@{own[:, 2].mean():.4g}" if len(own) else "-")
    return parts


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m benchmarks.data", description=__doc__)
    verbs = p.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("list", help="which data are at hand")
    verb = verbs.add_parser("fetch", help="get published DSRL files, whole")
    verb.add_argument("tasks", nargs="*", help="default: the twelve of the suites")
    Network.add_options(verb)
    verb = verbs.add_parser("generate", help="make data sets from shipped behaviour policies")
    verb.add_argument("tasks", nargs="*", help="default: all that can be made")
    verb.add_argument("--all", action="store_true", help="all that can be made")
    verb.add_argument("--record", type=Path, metavar="JSON", help="keep the sets' figures, too")
    verb = verbs.add_parser("verify", help="check a DSRL file, a line a finding")
    verb.add_argument("file", type=Path)
    verb.add_argument("--task", help="default: told by the file's name")
    verb = verbs.add_parser("inspect", help="what data hold: figures and a picture")
    verb.add_argument("tasks", nargs="+", metavar="task")
    verb.add_argument("--data", default="auto", help="as of benchmarks.run")
    verb.add_argument("--out", type=Path, default=Path("data.png"), help="default: data.png")
    Network.add_options(verb)
    verb = verbs.add_parser("train-behaviour", help="train behaviour policies of a task")
    verb.add_argument("task")
    verb.add_argument("--steps", type=int, help="default: as many as the shipped ones had")
    verb.add_argument("--seed", type=int, default=0)
    verb.add_argument("--out", type=Path, default=Path("behaviour"), help="default: behaviour/")
    return p


def _run(args: argparse.Namespace) -> int:
    if args.verb == "list":
        list_data()
    elif args.verb == "fetch":
        fetch([find_task(name) for name in args.tasks or TASKS], Network.of(args))
    elif args.verb == "generate":
        if args.all and args.tasks:
            raise UserError("generate: name tasks or give --all, not both")
        make([find_task(name) for name in args.tasks or shipped_tasks()], args.record)
    elif args.verb == "verify":
        return verify(args.file, args.task)
    elif args.verb == "inspect":
        inspect([resolve_task(name) for name in args.tasks], args.data, Network.of(args), args.out)
    else:
        train(args.task, args.steps, args.out, args.seed)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit status."""
    return exit_status(lambda: _run(parser().parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
