"""The work of the commands `methods`, `tasks` and `check`."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
import traceback
from collections.abc import Sequence
from typing import Any

from benchmarks.common.errors import describe
from benchmarks.datasets.custom_task import resolve_task
from benchmarks.methods.algorithm import Algorithm
from benchmarks.methods.conformance import check_algorithm
from benchmarks.methods.names import known_names
from benchmarks.methods.options import options_of
from benchmarks.methods.registry import find_method
from benchmarks.tasks.suites import PAPER, RIVALS, SUITES
from benchmarks.tasks.tasks import ALL_TASKS, TASKS

_PAPER = re.compile(r"[^()]*(arXiv \d{4}\.\d{4,5}|OpenReview \w+)")
_WIDTH = 96


def paper_of(cls: type[Algorithm]) -> str:
    """The first paper that the docstrings of a class and its module cite by arXiv or OpenReview."""
    texts = cls.__doc__, sys.modules[cls.__module__].__doc__
    for text in texts:
        if found := _PAPER.search(" ".join((text or "").split())):
            return found[0].rpartition(";")[2].strip()
    return ""


def flags_of(cls: type[Algorithm]) -> dict[str, str]:
    """What a class states of itself, in words."""
    return {
        "trainings": "one a limit" if cls.trains_per_limit else "one for all limits",
        "heeds the limit": _yes(cls.heeds_limit),
        "seeds as one": _yes(cls.stackable),
        "CUDA graphs": _yes(cls.capturable),
    }


def print_methods(names: Sequence[str]) -> None:
    """Print a table of `names`, of all methods where there is none."""
    methods = [find_method(name) for name in names or known_names()]
    rows = [
        {"method": method.label, **flags_of(method.cls), "paper": paper_of(method.cls) or "–"}
        for method in methods
    ]
    print(_table(rows))
    print("\nNAME, as in `osrl-bench methods gas`, shows a method's options.")
    if not names:
        print("\n".join(defaults()))


def defaults() -> list[str]:
    """The methods that `run` takes by default, by suite, and the groups of `--algorithms`."""
    named = {name: suite.algorithms for name, suite in SUITES.items() if suite.algorithms}
    others = ", ".join(name for name in SUITES if name not in named)
    return [
        f"--algorithms paper: {' '.join(PAPER)}",
        "--algorithms all: every method above",
        f"default of {others} and of limits of your own: {' '.join(RIVALS)}",
        *(f"default of {name}: {' '.join(specs)}" for name, specs in named.items()),
    ]


def print_method(spec: str) -> None:
    """Print all about one method: what it is, its options with defaults, and its budgets."""
    method = find_method(spec)
    cls = method.cls
    print(f"{method.label}: {_paragraph(inspect.getdoc(cls) or '')}")
    if paper := paper_of(cls):
        print(f"paper: {paper}")
    print("; ".join(f"{name}: {value}" for name, value in flags_of(cls).items()))
    print(f"\noptions, set by --option {cls.name}.OPTION=VALUE:")
    for one in options_of(cls.config_class):
        value = method.options.get(one.name, one.default)
        print(f"  {one.name} = {_written(value)}  ({one.kind}{one.allowed and f', {one.allowed}'})")
        comment = one.comment + (" [evaluation only]" if one.eval_only else "")
        if comment:
            print(
                textwrap.fill(
                    comment.strip(), _WIDTH, initial_indent="      ", subsequent_indent="      "
                )
            )
    print("\nbudgets:")
    for name, budget in cls.budgets.items():
        changed = ", ".join(f"{key}={_written(value)}" for key, value in budget.options.items())
        print(f"  {name}: {budget.updates} updates" + (f" with {changed}" if changed else ""))


def print_tasks(names: Sequence[str], details: bool) -> None:
    """Print a table of `names`, of all tasks where there is none; every constant if `details`."""
    tasks = [resolve_task(name) for name in names] or list(ALL_TASKS.values())
    shown = ("name", "engine", "observation_dim", "action_dim", "horizon", "max_cost")
    scale = ("min_return", "max_return")
    more = ("simulator", "dataset_file", "steps_per_second") if details else ()
    rows = [
        {field.replace("_", " "): _constant(getattr(task, field)) for field in (*shown, *scale)}
        | {"suites": "in the suites" if task.name in TASKS else ""}
        | {field.replace("_", " "): _constant(getattr(task, field)) for field in more}
        for task in tasks
    ]
    print(_table(rows))
    print("\nLimits in percent refer to max cost; rewards are scaled by min and max return.")


def _constant(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def check(spec: str) -> int:
    """Run the conformance test and print a line a check; 1 at the first that fails."""
    method = find_method(spec)

    def tell(passed: str) -> None:
        print(f"passed: {passed}", flush=True)

    try:
        config = method.cls.config_class(**{"batch": 16, **method.options})
        check_algorithm(method.cls, config, tell)
    except AssertionError as error:
        print(f"FAILED: {' '.join(str(error).split())}")
        return 1
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        print(f"FAILED: {describe(error)} ({frame.filename}, line {frame.lineno})")
        return 1
    print(f"{method.label} keeps the contract")
    return 0


def _paragraph(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())


def _written(value: Any) -> str:
    """A default as one would type it."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _table(rows: Sequence[dict[str, str]]) -> str:
    """Columns side by side, the first row their names."""
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
