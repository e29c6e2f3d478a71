"""From a request to jobs: what identifies a training, and the order of the work."""

import json
from dataclasses import asdict, fields, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.common.errors import UserError
from benchmarks.methods.algorithm import training_options
from benchmarks.methods.registry import Method
from benchmarks.runs.jobs import Job, Training
from benchmarks.runs.store import Run
from benchmarks.tasks.suites import Limit, find_suite
from benchmarks.tasks.tasks import TASKS
from gas import GAS, GASConfig
from tests.support.plans import GAS_METHOD, SLOW, TIGHT, Slow, planned, request

QUICK = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
TRAINING = Training(
    algorithm="gas",
    code="",
    config={"batch": 64, "alpha": 0.8, "reward_target": None, "mask": True},
    task="BallRun",
    checksum="ab12",
    seed=3,
    limit=8.0,
    updates=1000,
)
CHANGES = {
    "algorithm": "cdt",
    "code": "cd34",
    "config": {**TRAINING.config, "alpha": 0.9},
    "task": "CarRun",
    "checksum": "ab13",
    "seed": 4,
    "limit": None,
    "updates": 1001,
}


# Identity


@pytest.mark.parametrize("field", [field.name for field in fields(Training)])
def test_every_field_of_a_training_changes_its_key(field):
    assert replace(TRAINING, **{field: CHANGES[field]}).key != TRAINING.key


@pytest.mark.parametrize("option", TRAINING.config)
def test_every_option_changes_the_key(option):
    left = {name: value for name, value in TRAINING.config.items() if name != option}
    keys = {TRAINING.key, replace(TRAINING, config=left).key}
    keys |= {replace(TRAINING, config={**left, option: value}).key for value in (5, 5.5, "5")}
    assert len(keys) == 5


def test_the_key_stays_what_it_was():
    # a change here makes every stored result unknown: mean it
    assert TRAINING.key == "bd104694bab837ef1081b92cb348adc3f9eb9b55a6bdeb25ef3eac93b7492673"


configs = st.dictionaries(
    st.sampled_from("abcd"),
    st.none() | st.booleans() | st.integers(2) | st.floats(0.1, 0.9) | st.text('aé"\n', max_size=3),
)
trainings = st.builds(
    Training,
    *(st.sampled_from(["a", "b", "ab", ""]) for _ in range(2)),
    configs,
    *(st.sampled_from(["a", "b", "ab", ""]) for _ in range(2)),
    st.integers(0, 2),
    st.none() | st.floats(0.0, 2.0),
    st.integers(0, 2),
)
jobs = st.builds(
    Job,
    training=trainings,
    limits=st.lists(st.floats(0.0, 400.0)).map(tuple),
    episodes=st.integers(1, 50),
    **dict.fromkeys(("method_spec", "data", "source", "results"), st.text('aé"\n/:', max_size=5)),
    stage=st.sampled_from(["train", "evaluate", "both"]),
    device=st.sampled_from(["cpu", "cuda:1"]),
    simulator_processes=st.integers(0, 4),
    core_seconds=st.floats(0.0, 1e6),
    stacked_seeds=st.lists(st.integers(0, 9), max_size=3).map(tuple),
)


@QUICK
@given(trainings, trainings)
def test_keys_are_equal_where_trainings_are(one, other):
    assert (one.key == other.key) == (one == other)
    shuffled = dict(reversed(one.config.items()))
    assert replace(one, config=shuffled).key == one.key
    assert Training(**json.loads(json.dumps(asdict(one)))).key == one.key


@QUICK
@given(jobs)
def test_a_job_comes_back_from_its_line(job):
    line = job.to_json()
    assert "\n" not in line
    assert Job.from_json(line) == job
    assert Job.from_json(line).training.key == job.training.key


def test_a_job_is_read_under_the_names_of_earlier_versions():
    stored = {
        **{"training": asdict(TRAINING), "limits": [8.0], "episodes": 2, "method": "gas"},
        **{"data": "", "source": "generated", "results": "results", "label": "gas@alpha=1"},
        **{"acting": {"target_factor": 2.0}, "together": 4, "beside": [1, 2]},
        "compiled": False,
    }
    job = Job.of(stored)
    assert job == Job(
        training=TRAINING,
        limits=(8.0,),
        episodes=2,
        method_spec="gas",
        data="",
        source="generated",
        results="results",
        variant="gas@alpha=1",
        eval_options={"target_factor": 2.0},
        seeds_per_job=4,
        stacked_seeds=(1, 2),
    )
    assert [one.training.seed for one in job.per_seed] == [3, 1, 2]
    assert Job.from_json(job.to_json()) == job


def test_a_job_takes_no_values_by_position():
    with pytest.raises(TypeError, match="positional"):
        Job(TRAINING, (8.0,), 2, "gas", "", "generated", "results")


def test_a_training_knows_no_place_time_or_machine():
    assert [field.name for field in fields(Training)] == list(CHANGES)
    plan = planned(results="one")
    other = planned(results="other", path="elsewhere", stage="train", episodes=1)
    moved = [replace(job, device="cuda:0", simulator_processes=4) for job in other]
    assert [job.training.key for job in plan] == [job.training.key for job in moved]
    assert plan != moved


# Jobs


def test_seeds_are_outermost_and_the_longest_come_first():
    jobs = planned(seeds=(4, 0, 2))
    assert [job.training.seed for job in jobs] == [4] * 8 + [0] * 8 + [2] * 8
    for start in (0, 8, 16):
        seconds = [job.core_seconds for job in jobs[start : start + 8]]
        assert seconds == sorted(seconds, reverse=True)
        assert len(set(seconds)) > 2
        everything = {
            (job.training.task, job.training.algorithm) for job in jobs[start : start + 8]
        }
        assert len(everything) == 4
    assert len({job.training.key for job in jobs}) == 24


def test_one_job_a_limit_unless_one_training_serves_all():
    jobs = planned(tasks=["BallRun"], seeds=[0])
    shared = [job for job in jobs if job.training.algorithm == "gas"]
    single = [job for job in jobs if job.training.algorithm == "slow"]
    assert [(job.training.limit, job.limits) for job in shared] == [(None, (8.0, 16.0, 24.0))]
    assert [(job.training.limit, job.limits) for job in single] == [
        (limit, (limit,)) for limit in (8.0, 16.0, 24.0)
    ]


def test_limits_asked_twice_are_one():
    twice = [Limit(0.1, True), Limit(8.0, False), Limit(0.2, True), Limit(0.1, True)]
    jobs = planned(tasks=["BallRun"], seeds=[0], limits=twice)
    assert sorted(job.limits for job in jobs) == [(8.0,), (8.0, 16.0), (16.0,)]


def test_a_training_that_serves_all_limits_is_the_same_at_each():
    loose = planned(methods=[GAS_METHOD], limits=find_suite("loose").limits)
    tight = planned(methods=[GAS_METHOD])
    assert [job.training for job in loose] == [job.training for job in tight]
    assert [job.limits for job in loose] != [job.limits for job in tight]


def test_what_a_job_carries():
    (job,) = planned(methods=[SLOW], tasks=["AntCircle"], seeds=[5], limits=TIGHT[:1])
    assert job.training == Training(
        "slow",
        "ff",
        {**asdict(Slow.config_class()), "batch": 8},
        "AntCircle",
        "sum",
        5,
        20.0,
        100_000,
    )
    assert (job.method_spec, job.data, job.source) == (
        "dir/slow.py:Slow",
        "data/AntCircle",
        "generated",
    )
    assert (job.results, job.stage, job.episodes) == ("results", "both", 5)
    speed = TASKS["AntCircle"].steps_per_second
    assert job.core_seconds == pytest.approx(100_000 * 0.05 + 5 * 500 / speed)


def test_more_limits_and_episodes_take_longer():
    def seconds(**choices):
        (job,) = planned(methods=[GAS_METHOD], tasks=["BallRun"], seeds=[0], **choices)
        return job.core_seconds

    training = seconds(limits=TIGHT[:1]) - 5 * 100 / TASKS["BallRun"].steps_per_second
    budget = GAS.budgets["quick"]
    assert training == pytest.approx(budget.updates * budget.update_ms / 1000)
    more = seconds(episodes=50) - training
    assert more == pytest.approx(3 * 50 * 100 / TASKS["BallRun"].steps_per_second)


def test_a_stored_training_takes_the_time_of_its_evaluations(tmp_path):
    def jobs():
        return planned(str(tmp_path), methods=[GAS_METHOD], tasks=["BallRun"])

    first, second = jobs()
    run = Run.of(first)
    with run.locked():
        run.finish_training({}, {})
    budget = GAS.budgets["quick"]
    training = budget.updates * budget.update_ms / 1000
    stored, missing = (job.core_seconds for job in jobs())
    assert stored == pytest.approx(first.core_seconds - training)
    assert missing == second.core_seconds


def test_updates_replace_those_of_the_budget():
    jobs = planned(updates=77)
    assert {job.training.updates for job in jobs} == {77}
    assert planned(updates=77)[0].core_seconds < planned()[0].core_seconds


def test_options_reach_the_config_of_their_method_only():
    words = ["gas.alpha=0.9", "gas.batch=32", "gas.alpha=0.95", "slow.hidden=4"]
    asked = request(tasks=["BallRun"], seeds=[0]).with_options(words)
    configs = {
        job.training.algorithm: job.training.config for job in asked.jobs("", {"BallRun": ""})
    }
    quick = GASConfig(**{**GAS.budgets["quick"].options, "alpha": 0.95, "batch": 32})
    assert configs["gas"] == training_options(quick)
    assert configs["slow"]["hidden"] == 4
    assert configs["slow"]["batch"] == 8


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("gas", "--option 'gas' is not of the form name.option=value"),
        ("gas.alpha", "--option 'gas.alpha' is not of the form name.option=value"),
        ("alpha=0.9", "is not of the form"),
        ("gsa.alpha=0.9", "unknown algorithm in --option 'gsa': did you mean gas?"),
        ("cdt.batch=3", "unknown algorithm in --option 'cdt': known are gas, slow"),
        ("gas.alhpa=0.9", "unknown option of gas 'alhpa': did you mean alpha?"),
        ("gas.alpha=high", "option gas.alpha is a number, not 'high'"),
        ("gas.cost_relabelling=x", "unknown gas.cost_relabelling 'x'"),
    ],
)
def test_wrong_options_are_told_in_one_line(word, said):
    with pytest.raises(UserError) as raised:
        request().with_options([word]).jobs("", dict.fromkeys(TASKS, ""))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_two_methods_of_one_name_are_refused():
    request().check()
    with pytest.raises(UserError, match=r"^two of the algorithms are called 'gas': rename one$"):
        request(methods=[GAS_METHOD, SLOW, Method(GAS, "mine.py:GAS", "ab")]).check()


def test_the_same_on_other_data_and_at_other_limits():
    asked = request()
    other = asked.on(asked.data[:1]).at(TIGHT[:2])
    assert other == replace(asked, data=asked.data[:1], limits=TIGHT[:2])
