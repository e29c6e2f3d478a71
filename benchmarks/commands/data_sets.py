"""The work of `benchmarks.data`: list, fetch, make, verify and look at data sets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.errors import UserError
from benchmarks.common.files import replacing, write_atomic
from benchmarks.datasets.convert import Range, convert
from benchmarks.datasets.custom_task import resolve_task
from benchmarks.datasets.figures import figures_of, read_figures
from benchmarks.datasets.generation.comparison import comparison_table
from benchmarks.datasets.generation.policies import recorded_figures, shipped_tasks
from benchmarks.datasets.source import (
    DataSet,
    Network,
    cache_folder,
    choose,
    dsrl_folder,
    obtain,
    tell_warnings,
    usable,
)
from benchmarks.datasets.summary import draw, summarise
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.datasets.verify import examine
from benchmarks.tasks.tasks import ALL_TASKS, TASKS, Task, find_task


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


def compare() -> None:
    """Print the published data sets and the generated ones side by side, from recorded figures."""
    print(comparison_table(recorded_figures()), end="")


def fetch(names: Sequence[str], network: Network) -> None:
    """Fetch the published files that are missing, of all suites' tasks where none is named."""
    tasks = [find_task(name) for name in names or TASKS]
    if not network.mirrors:
        raise UserError("fetch needs the network: leave --offline and OSRL_BENCH_OFFLINE away")
    for one in obtain(choose("dsrl", tasks), network):
        one.checksum()
        print(f"{one.task.name}: {one.path}")


def make(names: Sequence[str], record: Path | None) -> None:
    """Generate sets, all that can be made where no task is named, and print what is in them.

    `record` is a file that keeps their figures.
    """
    tasks = [find_task(name) for name in names or shipped_tasks()]
    if record:  # before the work
        _require_folder_of(record, "--record")
        read_figures(record)
    sets, network = choose("generated", tasks), Network()
    usable(sets, network, skip=False)
    figures = {}
    for one in sets:
        obtain([one], network)
        data = _load_checked(one)
        summary = summarise(data, one.task)
        print(f"{summary.line()}; {one.path.stat().st_size / 1e6:.1f} MB: {one.path}")
        figures[one.task.name] = figures_of(one, summary)
    if record:
        content = read_figures(record) | figures
        write_atomic(record, json.dumps(content, indent=1, sort_keys=True) + "\n")


def _require_folder_of(path: Path, option: str) -> None:
    if not path.parent.is_dir():
        raise UserError(f"{option} {path}: there is no folder {path.parent}")


def _load_checked(data: DataSet) -> Trajectories:
    """The contents of a data set; `UserError` where it has a fault."""
    if faults := examine(data.path, data.task).faults:
        raise UserError(f"{data.path}: {faults[0]}")
    return Trajectories.load(data.path, data.source)


def verify(path: Path, name: str | None) -> int:
    """Print what is wrong with a file, a line each; 1 if it cannot be used."""
    task = resolve_task(name) if name else _task_of(path)
    if not path.is_file():
        raise UserError(f"{path}: no such data file")
    faults, warnings, _ = examine(path, task)
    for kind, lines in (("fault", faults), ("warning", warnings)):
        for line in lines:
            print(f"{path}: {kind}: {line}")
    if not faults:
        data = Trajectories.load(path, "file")
        print(f"{path}: a whole data set. {summarise(data, task).line()}; sha256 {data.checksum}")
    return 1 if faults else 0


def convert_file(
    path: Path,
    out: Path,
    format: str,
    costs: str | None,
    bounds: tuple[Sequence[float], Sequence[float]] | None,
) -> None:
    """Convert a file to DSRL's format, and print what it holds and how a task file would start."""
    if out.suffix != ".hdf5":
        raise UserError(f"{out}: the name of a DSRL file ends in .hdf5")
    _require_folder_of(out, "the output")
    data = convert(path, format=format, costs=costs, actions=Range(*bounds) if bounds else None)
    with replacing(out) as part:
        data.save(part)
    costs_of, returns = data.episode_costs, data.returns
    print(
        f"{out}: {len(data)} episodes, {len(data.rewards)} transitions; returns "
        f"{returns.min():.6g} to {returns.max():.6g}; "
        f"costs {costs_of.min():g} to {costs_of.max():g}"
    )
    print(
        "a task file for it needs name, simulator, and:\n"
        f'data = "{out.name}"\nhorizon = {data.lengths.max()}\nmax_cost = {costs_of.max():g}'
    )


def _task_of(path: Path) -> Task:
    for task in ALL_TASKS.values():
        if path.name in (task.dataset_file, choose("generated", [task])[0].path.name):
            return task
    raise UserError(f"{path.name} is not the name of a task's file: say which by --task")


def inspect(names: Sequence[str], data: str, network: Network, out: Path) -> None:
    """Print what the data of tasks hold by cost, and draw it."""
    tasks = [resolve_task(name) for name in names]
    if out.suffix not in (".png", ".svg", ".pdf"):
        raise UserError(f"--out {out}: a picture's name ends in .png, .svg or .pdf")
    _require_folder_of(out, "--out")
    sets, _ = usable(choose(data, tasks, network), network, skip=False)
    sets = obtain(sets, network)
    tell_warnings(sets)
    loaded = [(one.task, _load_checked(one)) for one in sets]
    for task, trajectories in loaded:
        summary = summarise(trajectories, task)
        print(f"{summary.line()}\n\n{summary.table()}\n")
    draw(loaded, out)
    print(f"picture: {out}")


def train(name: str, steps: int | None, folder: Path, seed: int) -> None:
    """Train behaviour policies of a task, resuming where an earlier call stopped."""
    from benchmarks.datasets.generation.behaviour import train_and_save  # torch takes seconds

    count, path = train_and_save(find_task(name), steps, folder, seed)
    print(
        f"{count} snapshots in {path}; "
        "shipped ones lie in benchmarks/datasets/generation/snapshots/"
    )
