"""What a leaderboard is made of: the store, and what its folder keeps where there is none."""

import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest

from benchmarks.leaderboard import main
from benchmarks.report.render import report
from benchmarks.results import leaderboard
from benchmarks.results.files import read_details
from benchmarks.results.load import archived_in, load_results
from benchmarks.runs.store import Run
from tests.support.synthetic_store import Plan, jobs_of, write_store

PLAN = Plan(
    *(("one", "two", "bad"), {"BallRun": (80.0, 0.0, 100.0)}, (0.1, 0.2), (0, 1), 2),
    lambda method, task, limit, seed, episode: (10.0 * len(method) + seed + 0.1, limit / 3),
    one_for_all=("one",),
    failed={("bad", "BallRun", 0): "Traceback"},
    unrun=[("two", "BallRun", 1)],
)
KEPT = ("plan.json", report.EPISODES_FILE, report.MISSING_FILE, report.TRAININGS_FILE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A leaderboard beside its store, written once."""
    folder = write_store(PLAN, tmp_path_factory.mktemp("gather") / "results" / "board")
    found = load_results(folder)
    leaderboard.write(
        *(found.episodes, found.missing, folder, found.title, {}),
        details=found.details,
        formats=["csv"],
    )
    return folder


def copied(folder, target, names=KEPT):
    """What a folder keeps, elsewhere."""
    target.mkdir(parents=True)
    for name in names:
        shutil.copy(folder / name, target)
    return target


def without_kept(folders, jobs):
    """The jobs that folders do not keep."""
    kept = archived_in(folders)
    return [job for job in jobs if not kept(job)]


def csv_of(folder):
    found = load_results(folder)
    out = folder / "again"
    leaderboard.write(
        *(found.episodes, found.missing, out, found.title, {}),
        details=found.details,
        formats=["csv"],
    )
    return {path.name: path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_every_training_is_told_once_with_its_state(folder):
    found = load_results(folder).details
    rows = found.trainings.set_index(["algorithm", "seed", "train_limit"]).sort_index()
    assert len(rows) == 2 + 2 * 2 + 2 * 2
    assert rows.loc["one", "status"].tolist() == ["finished"] * 2
    assert rows.loc["two", "status"].tolist() == ["finished"] * 2 + ["missing"] * 2
    assert rows.loc["bad", "status"].tolist() == ["failed"] * 2 + ["finished"] * 2
    assert set(rows.loc[("bad", 0), "traceback"]) == {"Traceback"}
    assert set(rows.loc[("bad", 0), "reason"]) == {"ArithmeticError: planted"}
    assert set(rows.loc["one", "evaluation_seconds"]) == {5.0}  # two limits
    assert found.frontiers == {"BallRun": [(0.0, 10.0), (20.0, 60.0)]}
    assert {job.training.key for job in jobs_of(PLAN, folder.parent)} == set(rows["key"])


def test_a_limit_that_is_missing_stays_so_beside_another_of_its_seed(tmp_path):
    folder = write_store(PLAN, tmp_path / "results" / "board")
    lost = next(job for job in jobs_of(PLAN, folder.parent) if job.training.algorithm == "two")
    shutil.rmtree(Run.of(lost).folder)
    csv_of(folder)
    shutil.copytree(folder / "again", folder, dirs_exist_ok=True)
    rows = load_results(folder).details.trainings.set_index("key")
    assert rows.loc[lost.training.key, "status"] == "missing"
    assert rows.loc[rows["algorithm"] == "two", "status"].tolist().count("finished") == 1


def test_a_copy_without_the_store_says_the_same(folder, tmp_path):
    assert csv_of(copied(folder, tmp_path / "elsewhere" / "board")) == csv_of(folder)


def test_a_store_of_something_else_beside_the_copy_loses_nothing(folder, tmp_path):
    write_store(replace(PLAN, updates=7), tmp_path / "results" / "other")
    assert csv_of(copied(folder, tmp_path / "results" / "board")) == csv_of(folder)


def test_what_is_kept_of_another_training_is_not_taken_for_this_one(folder, tmp_path):
    copy = copied(folder, tmp_path / "results" / "board")
    plan = json.loads((copy / "plan.json").read_text())
    for job in plan["jobs"]:
        job["training"]["updates"] = 8
    (copy / "plan.json").write_text(json.dumps(plan))
    found = load_results(copy)
    assert found.episodes.empty
    assert set(found.missing["reason"]) == {"not run yet"}
    assert set(found.details.trainings["status"]) == {"missing"}


def test_nor_are_fewer_episodes_than_were_asked_for(folder, tmp_path):
    copy = copied(folder, tmp_path / "results" / "board")
    plan = json.loads((copy / "plan.json").read_text())
    for job in plan["jobs"]:
        job["episodes"] = 3
    (copy / "plan.json").write_text(json.dumps(plan))
    assert load_results(copy).episodes.empty


def test_jobs_that_a_folder_keeps_whole_are_told_from_the_others(folder):
    jobs = list(jobs_of(PLAN, folder.parent))
    left = without_kept([folder], jobs)
    missing = {("two", 1), ("bad", 0)}  # not run, failed
    assert {(job.training.algorithm, job.training.seed) for job in left} == missing
    assert len(left) == 4  # one for each of two limits


def test_a_job_may_be_kept_by_two_folders_together(folder, tmp_path):
    """As one training is whose limits two suites share."""
    jobs = [job for job in jobs_of(PLAN, folder.parent) if job.training.algorithm == "one"]
    episodes = pd.read_csv(folder / report.EPISODES_FILE)
    halves = []
    for limit in sorted(set(episodes["limit"])):
        halves.append(copied(folder, tmp_path / f"{limit:g}"))
        episodes[episodes["limit"] == limit].to_csv(halves[-1] / report.EPISODES_FILE, index=False)
    assert [len(without_kept([half], jobs)) for half in halves] == [2, 2]
    assert without_kept(halves, jobs) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda job: replace(job, training=replace(job.training, updates=8)),
        lambda job: replace(job, training=replace(job.training, checksum="of other data")),
        lambda job: replace(job, episodes=3),
        lambda job: replace(job, limits=(*job.limits, 70.0)),
        lambda job: replace(job, eval_options={"margin": 0.2}),
        lambda job: replace(job, variant="another"),
    ],
)
def test_no_job_is_kept_that_asks_for_something_else(folder, change):
    jobs = [change(job) for job in jobs_of(PLAN, folder.parent)]
    assert without_kept([folder], jobs) == jobs


def test_what_was_evaluated_with_other_options_is_not_kept(folder, tmp_path):
    def acting(jobs, **options):
        return [replace(job, eval_options=options) for job in jobs]

    jobs = list(jobs_of(PLAN, folder.parent))
    copy = copied(folder, tmp_path / "board")
    details = read_details(copy / report.TRAININGS_FILE)
    configs = [json.loads(text) | {"margin": 0.2} for text in details.trainings["config"]]
    details.trainings["config"] = [json.dumps(config) for config in configs]
    (copy / report.TRAININGS_FILE).write_bytes(details.to_bytes())
    assert len(without_kept([copy], acting(jobs, margin=0.2))) == len(without_kept([folder], jobs))
    for other in (
        acting(jobs, margin=0.3),
        acting(jobs),  # the option has been removed since
        acting(jobs, margin=0.2, sharpness=1.0),  # another one has come, whatever it does
    ):
        assert without_kept([copy], other) == other


def test_a_folder_that_is_not_there_or_tells_no_trainings_keeps_no_job(folder, tmp_path):
    jobs = list(jobs_of(PLAN, folder.parent))
    assert without_kept([tmp_path / "none"], jobs) == jobs
    assert without_kept([copied(folder, tmp_path / "old", KEPT[:3])], jobs) == jobs


def test_the_store_has_the_last_word(folder, tmp_path):
    """A run that failed lately is failed, whatever was kept of it."""
    results = tmp_path / "results"
    copy = copied(folder, results / "board")
    one = next(job for job in jobs_of(PLAN, results) if job.training.algorithm == "one")
    Run(results, one.training).record_failure("later", "Traceback of later")
    found = load_results(copy)
    failed = found.missing[found.missing["reason"] == "later"]
    assert len(failed) == 2
    assert set(failed["status"]) == {"failed"}
    row = found.details.trainings.set_index("key").loc[one.training.key]
    assert (row["status"], row["traceback"]) == ("failed", "Traceback of later")


def test_what_is_kept_is_not_looked_at_where_nothing_is_missing(tmp_path):
    whole = write_store(replace(PLAN, failed={}, unrun=()), tmp_path / "results" / "board")
    (whole / report.EPISODES_FILE).write_bytes(b"damaged")
    assert load_results(whole).missing.empty


def test_a_folder_from_before_trainings_were_kept_is_still_read(folder, tmp_path):
    copy = copied(folder, tmp_path / "elsewhere" / "board", KEPT[:3])
    found = load_results(copy)
    pd.testing.assert_frame_equal(
        found.episodes.sort_values(list(found.episodes), ignore_index=True),
        load_results(folder).episodes.sort_values(list(found.episodes), ignore_index=True),
        check_exact=True,
    )
    rows = found.details.trainings.set_index("algorithm")
    assert set(rows.loc["one", "status"]) == {"finished"}
    assert set(rows["commit"]) == {""}


def test_a_plan_loads_no_code_that_it_names_and_leaves_no_folder(tmp_path):
    plugin = tmp_path / "plugin.py"
    plugin.write_text(f"open({str(tmp_path / 'loaded')!r}, 'w')\n")
    names = (f"{plugin}:Mine", "../../up", str(tmp_path / "up"))
    tasks = dict.fromkeys(("../../up", f"{tmp_path}/task.toml"), (80.0, 0.0, 100.0))
    plan = replace(PLAN, methods=names, tasks=tasks, one_for_all=())
    folder = write_store(plan, tmp_path / "results" / "board")
    assert main([str(folder), "--format", "csv", "--format", "markdown"]) == 0
    assert set(pd.read_csv(folder / "leaderboard.csv")["algorithm"]) == set(names)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plugin.py", "results"]
    assert sorted(path.name for path in folder.parent.iterdir()) == ["board", "runs"]
