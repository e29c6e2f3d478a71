"""Variants of a method: named on the command line, planned, stored and run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.common.errors import UserError
from benchmarks.leaderboard import main as leaderboard
from benchmarks.methods.algorithm import eval_options
from benchmarks.methods.registry import find_method
from benchmarks.results.files import read_details
from benchmarks.run import main
from benchmarks.runs.plan import plan
from benchmarks.runs.store import Run, is_done, pending_limits
from benchmarks.runs.worker import run_job
from benchmarks.tasks.suites import SUITES, parse_limit
from benchmarks.tasks.tasks import TASKS
from gas import GAS, GASConfig
from tests.support.jobs import make_job
from tests.support.plans import planned, request
from tests.support.runs import command, small
from tests.support.small_data import SmallData

SPECS = ("gas", "gas@target_factor=2", "gas@alpha=0.9,mask=false")


def methods(*specs: str):
    return [find_method(spec) for spec in specs]


def test_a_variant_is_its_method_with_options() -> None:
    one = find_method("gas@reward_target=none,alpha=.90,mask=False,reshaping_bins=7")
    assert (one.cls, one.spec, one.code) == (GAS, "gas", "")
    assert one.options == {"reward_target": None, "alpha": 0.9, "mask": False, "reshaping_bins": 7}
    assert one.label == "gas@reward_target=none,alpha=0.9,mask=false,reshaping_bins=7"
    assert find_method(one.label) == one
    assert find_method("gas").label == "gas"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("gas@alpah=1", "unknown option of gas 'alpah': did you mean alpha"),
        ("gas@alpha=high", "option gas.alpha is a number, not 'high'"),
        ("gas@alpha=0.9,", "'' is not one option=value"),
        ("gas@alpha=0.9,alpha=0.8", "is not one option=value"),
        ("gas@alpha=0.9@delta=0", "put all options after a single @"),
        ("gsa@alpha=0.9", "unknown algorithm 'gsa': did you mean gas"),
        ("gas@alpha", "unknown algorithm 'gas@alpha'"),
    ],
)
def test_a_variant_that_is_none_is_told_in_one_line(spec: str, said: str) -> None:
    with pytest.raises(UserError) as raised:
        find_method(spec)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_variant_with_options_of_acting_shares_the_training() -> None:
    jobs = planned(methods=methods(*SPECS), tasks=["BallRun"], seeds=[0])
    base, asked, other = sorted(jobs, key=lambda job: SPECS.index(job.display_name))
    assert base.training == asked.training
    assert base.eval_options == other.eval_options == eval_options(GASConfig())
    assert asked.eval_options == base.eval_options | {"target_factor": 2.0}
    assert base.training.config.keys().isdisjoint(base.eval_options)
    assert asked.core_seconds < 0.1 * base.core_seconds  # trained once
    assert other.training.key != base.training.key
    assert {other.training.config[name] for name in ("alpha", "mask")} == {0.9, False}
    assert other.training.algorithm == "gas"
    runs = [Run.of(job) for job in (base, asked, other)]
    assert runs[0].folder == runs[1].folder != runs[2].folder


def test_options_of_a_variant_overrule_those_of_its_method() -> None:
    asked = request(methods=methods("gas", "gas@alpha=0.6"), tasks=["BallRun"], seeds=[0])
    jobs = asked.with_options(["gas.alpha=0.7", "gas.delta=0.3"]).jobs("r", {"BallRun": "s"})
    found = {job.display_name: job.training.config for job in jobs}
    assert {name: (c["alpha"], c["delta"]) for name, c in found.items()} == {
        "gas": (0.7, 0.3),
        "gas@alpha=0.6": (0.6, 0.3),
    }


def test_what_several_suites_ask_of_a_policy_is_one_job() -> None:
    tight = request(methods=methods("gas", "bc-safe"), tasks=["BallRun", "CarRun"], seeds=[0])
    more = request(methods=methods("gas", "gas@alpha=0.6"), tasks=["BallRun"], seeds=[0])
    more = replace(more, limits=[parse_limit("20%"), parse_limit("80%")])
    jobs = plan([tight, more], "r", dict.fromkeys(TASKS, "s"))
    found = {(job.training.task, job.display_name, job.training.limit): job.limits for job in jobs}
    assert len(jobs) == len(found) == 2 + 6 + 1
    assert found["BallRun", "gas", None] == (8.0, 16.0, 24.0, 64.0)
    assert found["BallRun", "gas@alpha=0.6", None] == (16.0, 64.0)
    assert found["CarRun", "gas", None] == (4.0, 8.0, 12.0)


def test_options_on_a_task_stand_behind_the_budgets_and_the_users() -> None:
    def config(spec: str, task: str):
        (job,) = planned(methods=methods(spec), tasks=[task], seeds=[0])
        return job.training.config

    assert config("gas-released", "AntRun")["narrowness"] == 0.2
    assert config("gas-released@narrowness=0.4", "AntRun")["narrowness"] == 0.4
    assert config("gas-released", "PointCircle2")["width"] == 128  # the quick budget's
    assert config("gas-released", "BallRun")["segment_cost_weight"] == 1.0


def test_evaluations_under_other_options_lie_beside_each_other(
    small_data: SmallData, tmp_path: Path
) -> None:
    job = make_job("gas", small_data, tmp_path)
    other = replace(job, eval_options={"target_factor": 3.0}, variant="gas@target_factor=3")
    run_job(job)
    trained = (Run.of(job).folder / "training.json").stat().st_ino
    assert is_done(job)
    assert pending_limits(other) == list(other.limits)
    run_job(other)
    assert is_done(other)
    assert (Run.of(job).folder / "training.json").stat().st_ino == trained
    returns = [[one.episode_return for one in Run.of(one).episodes(8.0, 2)] for one in (job, other)]
    assert returns[0] != returns[1]
    names = sorted(path.name for path in Run.of(job).folder.glob("evaluation-8x2*"))
    assert len(names) == 2
    assert names[1] == "evaluation-8x2.json"


def test_a_group_of_evaluations_is_dealt_out_by_whoever_comes_next(
    small_data: SmallData, tmp_path: Path
) -> None:
    job = replace(make_job("gas", small_data, tmp_path), eval_options={"target_factor": 3.0})
    run_job(job)
    run = Run.of(job)
    paths = sorted(run.folder.glob("evaluation-*"))
    group = [json.loads(path.read_text()) for path in paths]
    for path in paths:
        path.unlink()
    outside = tmp_path / "evaluation-1x1.json"
    group.append(group[0] | {"file": f"../../{outside.name}"})
    (run.folder / "evaluations.json").write_text(json.dumps(group))
    run_job(replace(job, eval_options={}))  # the one without the option comes first after the crash
    assert is_done(job)
    assert all(path.exists() for path in paths)
    assert not outside.exists()


@pytest.mark.usefixtures("workers_here", "blank_boards")
def test_a_run_of_variants_ends_in_their_table(small_data: SmallData, tmp_path: Path) -> None:
    methods = ("--algorithms", *SPECS, *small("gas"))
    assert main(command(small_data, tmp_path, *methods, tasks=("BallRun",))) == 0
    assert len(list(tmp_path.glob("runs/*/training.json"))) == 2
    table = pd.read_csv(tmp_path / "tight" / "leaderboard.csv")
    assert set(table["algorithm"]) == {*SPECS[:2], "gas@alpha=0.9,mask=false"}
    assert (table["status"] == "finished").all()
    details = read_details(tmp_path / "tight" / "trainings.json.gz").trainings
    configs = {row["algorithm"]: json.loads(row["config"]) for _, row in details.iterrows()}
    assert configs["gas@target_factor=2"]["target_factor"] == 2.0
    assert configs["gas"]["target_factor"] == 1.0
    text = (tmp_path / "tight" / "leaderboard.md").read_text()
    assert "## Variants of GAS" in text
    # the same from the folder alone
    alone = tmp_path / "elsewhere" / "tight"
    (tmp_path / "tight").rename(alone.parent.mkdir() or alone)
    assert leaderboard([str(alone)]) == 0
    assert (alone / "leaderboard.md").read_text() == text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ablation", "sensitivity", "zero-shot", "imbalance"])
def test_a_suite_ends_in_its_table_and_picture(name: str, tmp_path: Path) -> None:
    """Whole, at quick budget, on the first of its tasks."""
    suite = SUITES[name]
    arguments = ["--suite", name, "--tasks", suite.tasks[0], "--budget", "quick"]
    assert main([*arguments, "--data", "generated", "--results", str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / name / "leaderboard.csv")
    assert set(table["algorithm"]) == {find_method(spec).label for spec in suite.algorithms}
    assert len(table) == len(suite.algorithms) * len(suite.limits)
    assert (table["status"] == "finished").all()
    text = (tmp_path / name / "leaderboard.md").read_text()
    pictures = {"ablation": ["variants"], "zero-shot": ["sweep"]}.get(name, ["variants", "options"])
    for picture in pictures:
        assert (tmp_path / name / "pictures" / f"{picture}.png").stat().st_size > 5_000
        assert f"(pictures/{picture}.png)" in text
