"""Small run specifications, of a fast method and a slow one."""

from pathlib import Path

from baselines.bc import BCSafe
from benchmarks.datasets.source import DataSet
from benchmarks.methods.algorithm import Budget
from benchmarks.methods.registry import Method
from benchmarks.runs.plan import RunSpec
from benchmarks.tasks.suites import find_suite
from benchmarks.tasks.tasks import TASKS
from gas import GAS


class Slow(BCSafe):
    """Trains once for each limit, for long."""

    name = "slow"
    budgets = {"quick": Budget.of(100_000, update_ms=50.0, batch=8)}  # noqa: RUF012


GAS_METHOD = Method(GAS, "gas", "")
SLOW = Method(Slow, "dir/slow.py:Slow", "ff")
TIGHT = find_suite("tight").limits


def request(
    methods=(GAS_METHOD, SLOW),
    tasks=("BallRun", "AntCircle"),
    limits=TIGHT,
    seeds=(0, 1),
    path="data",
    **others,
):
    data = [DataSet(TASKS[task], Path(path) / task, "generated") for task in tasks]
    given = {"budget": "quick", "episodes": 5, "options": {}, **others}
    return RunSpec(methods=methods, data=data, limits=limits, seeds=seeds, **given)


def planned(results="results", **choices):
    return request(**choices).jobs(results, dict.fromkeys(TASKS, "sum"))
