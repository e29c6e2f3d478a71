"""Schedule, growth and whole suites are measured and added up."""

import json
from dataclasses import replace

import pytest

from benchmarks.measures import growth, suite
from benchmarks.measures.schedule import Usage, sleeping, working
from benchmarks.measures.suite import Estimate
from benchmarks.measures.synthetic import planned, request, store_results, trajectories
from benchmarks.measures.tables import growth_table, usage_table
from benchmarks.results.manifest import jobs_of, load_stored, read_manifest
from benchmarks.speed import main
from benchmarks.tasks.tasks import find_task


def test_usage_counts_processes_and_workers() -> None:
    usage = Usage("x", jobs=4, workers=2, asked=6.0, busy=9.0, makespan=5.0)
    assert (usage.efficiency, usage.overhead) == (0.9, 1.0)
    assert usage_table([usage]).splitlines()[-1] == "| x | 4 | 2 | 5 | 0.9 | 1 |"


def test_sleeping_jobs_take_what_they_sleep_spread_over_the_workers() -> None:
    usage = sleeping(6, 3, 0.1)
    assert usage.asked == pytest.approx(0.6)
    assert usage.busy > 0.6
    assert 0.2 <= usage.makespan < usage.busy


def test_real_workers_are_run_and_a_lost_job_is_an_error(monkeypatch) -> None:
    usage = working(1, 1)
    assert usage.busy > 0.5  # a process starts and imports torch
    monkeypatch.setattr("benchmarks.measures.schedule.SLEEPER", ("false",))
    with pytest.raises(RuntimeError, match="jobs failed"):
        sleeping(1, 1, 0.0)


def test_made_up_results_are_a_whole_store(tmp_path) -> None:
    asked = request(["bc-safe", "bc-all"], 2, tasks=["BallRun", "AntRun"])
    assert store_results(tmp_path / "board", asked) == 2 * 2 * 2 * 3
    manifest = read_manifest(tmp_path / "board")
    episodes, missing = load_stored(jobs_of(manifest, tmp_path), manifest)
    assert missing.empty
    assert len(episodes) == 10 * 24


def test_growth_is_measured_at_every_size() -> None:
    task = replace(find_task("BallRun"), horizon=3)
    times = growth._with_data(task, [20, 40], 1, memory=False)
    evaluated = growth._with_evaluations(task, "x", [(1, 1), (1, 2)], 1)
    stored = growth._with_seeds([1, 2], 1)
    assert [len(one.seconds) for one in (*times, evaluated, *stored)] == [2] * 6
    assert times[0].sizes == ["60 transitions", "120 transitions"]
    assert evaluated.sizes == ["1 episodes", "2 episodes"]
    assert stored[0].sizes == ["72 results", "144 results"]
    assert min(min(one.seconds) for one in (*times, evaluated)) > 0


def test_a_growth_table_has_multiples_of_the_first() -> None:
    table = growth_table([growth.Growth("x", ["1", "10"], [0.002, 0.01], [5.0, 6.0])])
    assert table.splitlines()[-1] == "| x | 10 | 10 | 5.00 | 6 |"


def test_a_prediction_adds_up_the_pieces_of_its_jobs() -> None:
    found = [
        Estimate("gas", "quick", "ms an update", 9.0),
        Estimate("gas", "acting at quick", "ms a step", 3.6),
        Estimate("cpq", "quick", "ms an update", 3.6),
        Estimate("cpq", "acting at quick", "ms a step", 0.0),
        Estimate("BallRun", "simulator", "steps a second", 1000.0),
    ]
    got = suite._predict("quick", ["cpq", "gas"], ["BallRun"], 2, found, 36.0)
    jobs = planned(request(["gas", "cpq"], 2, tasks=["BallRun"], suites=suite.SUITES), "")
    assert list(got.training) == ["cpq", "gas"]  # as asked, not as planned: columns
    assert got.jobs == len(jobs) == 2 * (1 + 6)
    by_gas = [job for job in jobs if job.training.algorithm == "gas"]
    assert got.training["gas"] == pytest.approx(2 * by_gas[0].training.updates * 9e-3 / 3600)
    assert got.acting == pytest.approx(2 * 100 * 3.6e-3 / 3600)
    assert got.simulation == pytest.approx(2 * 2 * 60 * 100 / 1000 / 3600)
    assert got.rest == pytest.approx(14 * 0.01)
    parts = (*got.training.values(), got.acting, got.simulation, got.rest)
    assert got.total == pytest.approx(sum(parts))


def test_pieces_of_a_suite_are_measured(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(suite, "working", lambda *_: Usage("x", 1, 1, 0.0, 1.0, 2.0))
    monkeypatch.setattr(suite, "trajectories", lambda task, _: trajectories(task, 10))
    out = tmp_path / "suite.json"
    words = ["suite", "--algorithms", "bc-all", "cpq", "--tasks", "BallRun", "--budgets", "quick"]
    assert main([*words, "--seconds", "1e-9", "--seeds", "1", "--out", str(out)]) == 0
    *pieces, total = json.loads(out.read_text())["results"]
    assert [one["name"] for one in pieces] == ["bc-all", "cpq", "bc-all", "cpq", "BallRun"]
    assert min(one["measured"] for one in pieces) > 0
    assert total["rest"] == pytest.approx(7 * 2.0 / 3600)
    assert "core hours" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("schedule --workers 0", "--workers must be positive"),
        ("growth --rounds 0", "--rounds must be positive"),
        ("suite --budgets quik", "quick"),
        ("suite --tasks BalRun", "BallRun"),
        ("suite --algorithms gass", "gas"),
    ],
)
def test_mistakes_are_told_in_a_line(words, said, capsys) -> None:
    assert main(words.split()) == 2
    assert said in capsys.readouterr().err
