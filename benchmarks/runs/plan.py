"""Turns what the user asks for into a list of jobs, in the order in which they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.common.errors import UserError, unknown_name
from benchmarks.datasets.source import DataSet
from benchmarks.methods.algorithm import eval_options, training_options
from benchmarks.methods.registry import Method, configure, parse_options
from benchmarks.runs.jobs import Job, Training, joined_code
from benchmarks.runs.store import Run
from benchmarks.tasks.suites import Limit


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """What is to be run: everything is resolved except the contents of the data files."""

    methods: Sequence[Method]
    data: Sequence[DataSet]
    limits: Sequence[Limit]
    seeds: Sequence[int]
    budget: str
    episodes: int
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Options by method name; they override those of the budget."""
    stage: str = "both"
    updates: int | None = None
    """Number of updates of every method, in place of the budget's."""
    seeds_per_job: int = 1
    """Most seeds that one process may train as one, for methods that support it."""

    def on(self, data: Sequence[DataSet]) -> RunSpec:
        """The same run on other data sets."""
        return replace(self, data=data)

    def at(self, limits: Sequence[Limit]) -> RunSpec:
        """The same run at other limits."""
        return replace(self, limits=limits)

    def with_options(self, words: Sequence[str]) -> RunSpec:
        """The same run with options given as "method.option=value"."""
        given: dict[str, dict[str, str]] = {}
        for word in words:
            name, dot, rest = word.partition(".")
            option, equals, value = rest.partition("=")
            if not (dot and equals):
                raise UserError(
                    f"--option {word!r} is not of the form name.option=value, as gas.alpha=0.9"
                )
            given.setdefault(name, {})[option] = value
        classes = {method.cls.name: method.cls for method in self.methods}
        for name in given:
            if name not in classes:
                raise unknown_name("algorithm in --option", name, classes)
        options = {name: parse_options(classes[name], words) for name, words in given.items()}
        return replace(self, options=options)

    def check(self) -> None:
        """Raise `UserError` for two methods of one name, and for what no method can be built with.

        Budgets and the values of options are tried here, before any data is made.
        """
        labels = [method.label for method in self.methods]
        for name in labels:
            if labels.count(name) > 1:
                raise UserError(f"two of the algorithms are called {name!r}: rename one")
        for method in self.methods:
            for data in self.data:
                configure(
                    method.cls,
                    self.budget,
                    self._options_of(method),
                    method.cls.options_on(data.task.name, data.source),
                )

    def jobs(self, results: str, checksums: Mapping[str, str]) -> list[Job]:
        """The jobs of this run, seeds outermost and the longest first within a seed.

        `checksums` holds the sha256 of the data file of each task. The order makes a partial
        leaderboard cover all tasks, and leaves no long job for the end.
        """
        return plan([self], results, checksums)

    def _options_of(self, method: Method) -> dict[str, Any]:
        """Options of one method: a variant's own go before those for the method."""
        return {**self.options.get(method.cls.name, {}), **method.options}

    def _jobs_for_first_seed(
        self,
        method: Method,
        data: DataSet,
        limits: Sequence[float],
        results: str,
        checksum: str,
    ) -> list[Job]:
        """One job if one training serves all limits, otherwise one job a limit."""
        cls, task = method.cls, data.task
        config, updates = configure(
            cls, self.budget, self._options_of(method), cls.options_on(task.name, data.source)
        )
        updates = self.updates or updates
        groups = [(limit,) for limit in limits] if cls.trains_per_limit else [tuple(limits)]
        training_seconds = updates * cls.budgets[self.budget].update_ms / 1000
        return [
            Job(
                training=Training(
                    algorithm=cls.name,
                    code=joined_code(method.code, task.code),
                    config=training_options(config),
                    task=task.name,
                    checksum=checksum,
                    seed=self.seeds[0],
                    limit=group[0] if cls.trains_per_limit else None,
                    updates=updates,
                ),
                limits=group,
                episodes=self.episodes,
                method_spec=method.spec,
                data=str(data.path),
                source=data.source,
                results=results,
                stage=self.stage,
                core_seconds=training_seconds + task.simulation_seconds(len(group) * self.episodes),
                task_file=task.file,
                variant=method.label if method.options else "",
                eval_options=eval_options(config),
                seeds_per_job=self.seeds_per_job if cls.stackable else 1,
            )
            for group in groups
        ]


def plan(specs: Sequence[RunSpec], results: str, checksums: Mapping[str, str]) -> list[Job]:
    """The jobs of several runs of the same seeds as one list, ordered as `RunSpec.jobs`.

    Runs that share a policy share its job, which evaluates it at all their limits.
    """
    merged: dict[tuple[str, str], tuple[RunSpec, Method, DataSet, dict[float, None]]] = {}
    for spec in specs:
        for data in spec.data:
            limits = dict.fromkeys(limit.of(data.task) for limit in spec.limits)
            for method in spec.methods:
                key = data.task.name, method.label
                merged.setdefault(key, (spec, method, data, {}))[3].update(limits)
    first = list[tuple[Job, float]]()
    trained = set[str]()
    for spec, method, data, limits in merged.values():
        checksum = checksums[data.task.name]
        for job in spec._jobs_for_first_seed(method, data, list(limits), results, checksum):
            evaluation = data.task.simulation_seconds(len(job.limits) * job.episodes)
            if job.training.key in trained:  # by a variant that differs only at evaluation
                job = replace(job, core_seconds=evaluation)
            trained.add(job.training.key)
            first.append((job, evaluation))
    first.sort(key=lambda planned: -planned[0].core_seconds)
    seeds = specs[0].seeds
    return [_with_seed(job, seed, evaluation) for seed in seeds for job, evaluation in first]


def _with_seed(job: Job, seed: int, evaluation: float) -> Job:
    """The job with another seed; it takes `evaluation` seconds where the store has the training."""
    job = replace(job, training=replace(job.training, seed=seed))
    return replace(job, core_seconds=evaluation) if Run.of(job).trained else job
