"""Evaluations during a training: the same training as without, the same scores as on their own."""

import json
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.methods.registry import find_method
from benchmarks.runs import training
from benchmarks.runs.evaluation import evaluate
from benchmarks.runs.interim import INTERIM_FILE, read_interim
from benchmarks.runs.store import Run
from benchmarks.runs.training import StoppedError
from benchmarks.runs.worker import run_job
from benchmarks.tasks.tasks import TASKS
from tests.support.jobs import losses, make_job, same, stopping_after
from tests.support.marks import mostly_slow


def finished(job, **more):
    run_job(job, **more)
    return Run.of(job)


@pytest.mark.parametrize("name", mostly_slow(["gas", "cdt", "fisor", "bc-safe"], "gas", "bc-safe"))
def test_the_training_ends_as_without_them(name, small_data, tmp_path):
    plain = make_job(name, small_data, tmp_path / "plain")
    watched = replace(make_job(name, small_data, tmp_path / "watched"), evaluate_every=2)
    one, other = finished(plain), finished(watched)
    assert same(one.checkpoint(), other.checkpoint())
    assert losses(plain) == losses(watched)
    for limit in plain.limits:
        assert one.episodes(limit, 2) == other.episodes(limit, 2)
    assert not (one.folder / INTERIM_FILE).exists()
    assert [row.updates for row in read_interim(other.folder)] == [
        updates for updates in (2, 4, 6) for _ in watched.limits
    ]


def test_scores_are_those_of_the_method_after_so_many_updates(small_data, tmp_path):
    job = replace(make_job("bc-safe", small_data, tmp_path / "long"), evaluate_every=3)
    rows = read_interim(finished(job).folder)
    short = make_job("bc-safe", small_data, tmp_path / "short")
    short = replace(short, stage="train", training=replace(short.training, updates=3))
    algorithm = find_method("bc-safe").cls.from_state(finished(short).checkpoint(), "cpu")
    episodes = evaluate(algorithm, TASKS["BallRun"], job.limits, 2, seed=0)
    assert [row.updates for row in rows] == [3, 6]
    for row in rows[:1]:
        at_limit = [episode for episode in episodes if episode.limit == row.limit]
        assert row.episodes == len(at_limit) == 2
        assert row.mean_return == pytest.approx(np.mean([e.episode_return for e in at_limit]))
        assert row.mean_cost == pytest.approx(np.mean([e.episode_cost for e in at_limit]))


def test_a_resumed_training_has_the_same_curve(small_data, tmp_path):
    whole = replace(make_job("bc-all", small_data, tmp_path / "whole"), evaluate_every=2)
    broken = replace(make_job("bc-all", small_data, tmp_path / "broken"), evaluate_every=2)
    expected = read_interim(finished(whole).folder)
    with pytest.raises(StoppedError):
        finished(broken, stop_requested=stopping_after(3))
    assert 0 < len(read_interim(Run.of(broken).folder)) < len(expected)
    assert read_interim(finished(broken).folder) == expected


def test_what_a_killed_attempt_saw_after_its_checkpoint_is_measured_again(small_data, tmp_path):
    job = replace(make_job("bc-all", small_data, tmp_path), evaluate_every=2)
    with pytest.raises(StoppedError):
        finished(job, stop_requested=stopping_after(3))
    path = Run.of(job).folder / INTERIM_FILE
    with path.open("a") as file:
        file.write("6,8.0,2,-1000.0,1000.0\n")
    rows = read_interim(finished(job).folder)
    assert min(row.mean_return for row in rows) > -1000.0


def test_seeds_trained_as_one_have_a_curve_each(small_data, tmp_path):
    job = replace(make_job("bc-all", small_data, tmp_path), evaluate_every=4, stacked_seeds=(1,))
    run_job(job)
    curves = [read_interim(Run.of(single).folder) for single in job.per_seed]
    assert [len(curve) for curve in curves] == [len(job.limits)] * 2
    assert curves[0] != curves[1]


def test_trackers_get_the_scores(small_data, tmp_path, monkeypatch):
    tracked = []

    @contextmanager
    def opened(job, folder, updates):
        yield tracked.append

    monkeypatch.setattr(training, "open_trackers", opened)
    job = replace(make_job("bc-all", small_data, tmp_path), evaluate_every=5)
    rows = read_interim(finished(job).folder)
    scores = next(t for t in tracked if "evaluation/limit_8/return" in t.losses)
    assert scores.updates == 5
    assert scores.losses["evaluation/limit_8/return"] == rows[0].mean_return
    assert json.dumps(scores.losses)
