"""The work of `benchmarks.run`: from a configuration to trained, evaluated and ranked methods."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeVar

from benchmarks.commands import protocol
from benchmarks.commands.config import RunConfig
from benchmarks.common.durations import duration_text
from benchmarks.common.errors import UserError
from benchmarks.common.files import require_writable, write_atomic
from benchmarks.common.hardware import devices
from benchmarks.common.locks import require_locks
from benchmarks.datasets.custom_task import resolve_task
from benchmarks.datasets.source import (
    DataSet,
    Network,
    choose,
    obtain,
    seconds_to_make,
    tell_warnings,
    usable,
)
from benchmarks.methods import registry
from benchmarks.methods.names import known_names
from benchmarks.report.render.again import PROTOCOL_FILE
from benchmarks.results.leaderboard import rebuild
from benchmarks.results.manifest import write_manifest
from benchmarks.results.pending import has_failed, pending
from benchmarks.runs import trackers
from benchmarks.runs.jobs import Job
from benchmarks.runs.plan import RunSpec, plan
from benchmarks.runs.workload import Workload
from benchmarks.scheduling import engines
from benchmarks.scheduling.devices import DevicePool
from benchmarks.scheduling.progress import print_failures, run_jobs
from benchmarks.simulators.trial import require_simulators_of
from benchmarks.tasks.suites import (
    BUDGETS,
    PAPER,
    RIVALS,
    SEEDS,
    SUITES,
    Suite,
    find_suite,
    parse_limit,
)
from benchmarks.tasks.tasks import TASKS, Task

T = TypeVar("T")
_LONG = 86_400.0
"""Time of a run in seconds above which the user must agree to it."""
_CUSTOM = "custom"
"""Name of the suite of the user's own limits."""


@dataclass(frozen=True, kw_only=True)
class _Selection:
    """The suites asked for, and what each of them runs."""

    suites: Mapping[str, Suite]
    methods: Mapping[str, Sequence[registry.Method]]
    """Methods by suite."""
    tasks: Mapping[str, Sequence[str]]
    """Names of tasks by suite; used unless the user names tasks."""
    named_tasks: bool
    """Whether the user names tasks, which then are those of every suite."""

    def specs(self, whole: RunSpec, data: Sequence[DataSet]) -> dict[str, RunSpec]:
        """What each suite runs of `whole` on the `data` that are there."""
        return {
            name: replace(
                whole,
                methods=self.methods[name],
                data=[one for one in data if self.named_tasks or one.task.name in self.tasks[name]],
                limits=suite.limits,
            )
            for name, suite in self.suites.items()
        }


def run(config: RunConfig, command: str) -> int:
    """Do what `config` asks for and return the exit status; `command` is kept as provenance.

    Everything is checked before any data are made and any job starts.
    """
    engines.check(config.engine)
    tracked = trackers.chosen(tensorboard=config.trackers.tensorboard, wandb=config.trackers.wandb)
    slots = engines.slots(config.engine)
    network = Network.of(mirrors=config.network.mirrors, offline=config.network.offline)
    selection = _select(config)
    tasks = _resolve(config.tasks or [task for names in selection.tasks.values() for task in names])
    data, processes = choose(config.data, tasks, network), DevicePool(slots).count
    checksum = cache(DataSet.checksum)  # hashing gigabytes takes seconds
    whole = _whole(config, selection, data, processes, checksum)
    budget = whole.budget
    whole.check()
    where = _shown(slots) if config.engine.engine == "local" else ""
    say = _printer(config)
    say(
        f"data: {whole.data[0].source}; budget: {budget}; "
        + (f"processes: {where}" if where else f"engine: {config.engine.engine}")
    )
    say(f"tasks: {', '.join(data.task.name for data in whole.data)}")
    for name in [config.name] if config.name else selection.suites:
        if (config.results / name).exists() and not (config.results / name).is_dir():
            raise UserError(f"{config.results / name} is a file: choose another --name")
    good, damaged = usable(whole.data, network, config.skip_missing or config.dry_run)
    if config.save_config:
        protocol.write(config.save_config, _protocol(config, whole))
        say(f"protocol: {config.save_config}")
    results = str(config.results)
    workload = _workload(config, selection.specs(whole, good), processes, checksum)
    (print if config.dry_run else say)(workload.text(whole.methods))
    if config.dry_run:
        tell_warnings(good)
        return 0
    _require_consent(workload, config.yes)
    require_writable(config.results)
    require_locks(config.results)
    if config.stage != "train":
        require_simulators_of([data.task for data in good])
    data = obtain(good, network, config.skip_missing)
    tell_warnings(data)
    checksums = {one.task.name: checksum(one) for one in data}
    specs = selection.specs(whole, data)
    jobs = [
        replace(
            job,
            checkpoint_seconds=config.checkpoint_seconds,
            trackers=tracked,
            evaluate_every=config.evaluate_every or 0,
            command=command,
            cuda_graphs=config.cuda_graphs,
        )
        for job in plan(list(specs.values()), results, checksums)
    ]
    for name, shown in _leaderboards(config.name, specs).items():
        limits = _once(limit for spec in shown for limit in spec.limits)
        title = f"{name}: {', '.join(map(str, limits))}"
        rows = plan(shown, results, checksums)
        folder = config.results / name
        write_manifest(folder, title, rows, data, limits, budget)
        measured = _protocol(config if config.name else _alone(config, name), whole)
        _keep_protocol(folder, measured)
    status = _work(jobs, config, _folders(config, specs))
    return status or int(damaged)


def _whole(
    config: RunConfig,
    selection: _Selection,
    data: Sequence[DataSet],
    processes: int,
    checksum: Callable[[DataSet], str],
) -> RunSpec:
    """Everything that is asked for; the budget "auto" is resolved, and said."""

    def spec(budget: str) -> RunSpec:
        return RunSpec(
            methods=_once(method for methods in selection.methods.values() for method in methods),
            data=data,
            limits=_once(limit for suite in selection.suites.values() for limit in suite.limits),
            seeds=_once(config.seeds or range(SEEDS.get(budget, 1))),
            budget=budget,
            episodes=config.episodes,
            stage=config.stage,
            updates=config.updates,
            seeds_per_job=engines.seeds_per_job(config.engine),
        ).with_options(config.options)

    if config.budget != "auto":
        return spec(config.budget)
    (shortest, *longer), say = BUDGETS, _printer(config)
    if devices(config.engine.device)[0] == "cpu":
        say(f"budget: {shortest}, as there is no GPU (--budget changes it)")
        return spec(shortest)
    for budget in reversed(longer):
        specs = selection.specs(spec(budget), data)
        if _workload(config, specs, processes, checksum).seconds <= _LONG:
            say(f"budget: {budget}, the longest that fits a day (--budget changes it)")
            return spec(budget)
    say(f"budget: {shortest}, as no longer one fits a day (--budget changes it)")
    return spec(shortest)


def _workload(
    config: RunConfig,
    specs: Mapping[str, RunSpec],
    processes: int,
    checksum: Callable[[DataSet], str],
) -> Workload:
    """What is left to do, as far as it is known before data are made."""
    data = _once(one for spec in specs.values() for one in spec.data)
    # What is made on data that are not there yet cannot be kept: no checksum is empty.
    checksums = {one.task.name: checksum(one) if one.present else "" for one in data}
    jobs = plan(list(specs.values()), str(config.results), checksums)
    left = _unfinished(jobs, config, _folders(config, specs)).left
    return Workload(jobs, left, processes, sum(map(seconds_to_make, data)))


class _Unfinished(NamedTuple):
    """The jobs of a plan without results in the store."""

    left: list[Job]
    """Those to run."""
    failed_before: list[Job]
    """Those that failed in an earlier run and are not to be tried again."""
    kept: int
    """The number of jobs whose results the leaderboards' folders have."""


def _unfinished(jobs: Sequence[Job], config: RunConfig, folders: Sequence[Path]) -> _Unfinished:
    unfinished, kept = pending(jobs, [] if config.stage == "train" else folders)
    left, failed_before = list[Job](), list[Job]()
    for job in unfinished:
        (failed_before if not config.retry_failed and has_failed(job) else left).append(job)
    return _Unfinished(left, failed_before, kept)


def _folders(config: RunConfig, specs: Mapping[str, RunSpec]) -> list[Path]:
    """The folders of the leaderboards."""
    return [config.results / name for name in _leaderboards(config.name, specs)]


def _require_consent(workload: Workload, given: bool) -> None:
    """Ask whether to start what takes longer than a day; `UserError` where nobody can be asked."""
    if given or workload.seconds <= _LONG:
        return
    takes = f"this takes about {duration_text(workload.seconds)}"
    if sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty():
        if input(f"{takes}. Start it? [y/N] ").strip().lower() in ("y", "yes"):
            return
        raise UserError("not started; --tasks, --algorithms, --seeds or --budget make it less")
    raise UserError(
        f"{takes}: --yes starts it; --tasks, --algorithms, --seeds or --budget make it less"
    )


def _printer(config: RunConfig) -> Callable[[str], None]:
    """Prints what a quiet run leaves out."""
    return print if config.verbosity >= 0 else lambda text: None


def _work(jobs: list[Job], config: RunConfig, folders: list[Path]) -> int:
    """Run the unfinished ones of `jobs`, then make the leaderboards; the exit status."""
    left, failed_before, kept = _unfinished(jobs, config, folders)
    if kept and config.verbosity >= 0:
        where = ", ".join(str(folder) for folder in folders if folder.is_dir())
        print(f"{kept} jobs are not run, their results are kept (delete to run them): {where}")
    with engines.open_scheduler(config.engine, config.results) as scheduler:
        lost, stopped = run_jobs(scheduler, left, config.verbosity)
    # Tables take seconds and disk space: make none after Ctrl-C or on a full disk.
    if config.stage != "train" and not stopped and not scheduler.halt_reason:
        for folder in folders:
            text = rebuild(folder)
            if config.verbosity >= 0:
                print(f"\n{text}\n")
            print(f"leaderboard: {folder / 'leaderboard.md'}")
    print_failures(lost, scheduler.halt_reason, "--retry-failed")
    if failed_before:
        print(f"{len(failed_before)} jobs failed in an earlier run: --retry-failed runs them again")
    if stopped:
        print("stopped: run the same command again to go on", file=sys.stderr)
        return 130
    return 1 if lost or failed_before or scheduler.halt_reason else 0


def _select(config: RunConfig) -> _Selection:
    suites = {name: find_suite(name) for name in config.suites}
    if config.limits:
        limits = _once(map(parse_limit, config.limits))
        suites[_CUSTOM] = Suite("limits of the user's own", limits)
    if not suites:
        raise UserError(
            f"nothing to evaluate: give --suite with one of {', '.join(SUITES)}, or --limits"
        )
    return _Selection(
        suites=suites,
        methods={
            name: [registry.find_method(spec) for spec in _algorithms(config.algorithms, suite)]
            for name, suite in suites.items()
        },
        tasks={name: suite.tasks or tuple(TASKS) for name, suite in suites.items()},
        named_tasks=bool(config.tasks),
    )


def _protocol(config: RunConfig, whole: RunSpec) -> dict[str, protocol.Value]:
    """What is measured, with the choices that `auto` stands for on this machine."""
    source = whole.data[0].source
    resolved = config.data == "auto" and source in ("generated", "dsrl")
    given: dict[str, protocol.Value | None] = {
        "suite": config.suites,
        "limits": config.limits,
        "tasks": config.tasks,
        "algorithms": config.algorithms,
        "budget": whole.budget,
        "data": source if resolved else config.data,
        "seeds": tuple(whole.seeds),
        "episodes": config.episodes,
        "option": config.options,
        "updates": config.updates,
        "evaluate-every": config.evaluate_every,
        "cuda-graphs": config.cuda_graphs,
        "name": config.name,
    }
    return {
        key: value
        for key, value in given.items()
        if value is not None and value is not False and value != ()
    }


def _keep_protocol(folder: Path, measured: Mapping[str, protocol.Value]) -> None:
    """Write the protocol of a leaderboard; none where a path is not text, as TOML must be."""
    try:
        write_atomic(folder / PROTOCOL_FILE, protocol.content(folder, measured).encode())
    except UnicodeEncodeError:
        (folder / PROTOCOL_FILE).unlink(missing_ok=True)


def _alone(config: RunConfig, suite: str) -> RunConfig:
    """The same configuration for one of its suites only."""
    if suite == _CUSTOM:
        return replace(config, suites=())
    return replace(config, suites=(suite,), limits=())


def _leaderboards(name: str | None, specs: Mapping[str, RunSpec]) -> dict[str, list[RunSpec]]:
    """What each leaderboard shows: a suite, or all suites under one `name`."""
    return {name: [*specs.values()]} if name else {suite: [spec] for suite, spec in specs.items()}


def _once(values: Iterable[T]) -> tuple[T, ...]:
    """Each value once, in order; values need not be hashable."""
    unique: list[T] = []
    for value in values:
        if value not in unique:
            unique.append(value)
    return tuple(unique)


def _resolve(specs: Iterable[str]) -> list[Task]:
    tasks = dict[str, Task]()
    for task in map(resolve_task, specs):
        if tasks.setdefault(task.name, task) != task:
            raise UserError(f"two of the tasks are called {task.name!r}: rename one")
    return list(tasks.values())


def _algorithms(specs: Sequence[str], suite: Suite) -> tuple[str, ...]:
    """The methods that are asked for, with the names of groups replaced by their methods."""
    groups = {"all": tuple(known_names()), "paper": PAPER}
    chosen = specs or suite.algorithms or RIVALS
    return _once(name for spec in chosen for name in groups.get(spec, (spec,)))


def _shown(slots: Mapping[str, int]) -> str:
    return ", ".join(f"{count} on {place}" for place, count in slots.items())
