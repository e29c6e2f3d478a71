"""What `verify` finds in a data file, each thing by damaging a good one there."""

import tracemalloc
from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.datasets.verify import Findings, examine, file_faults
from benchmarks.tasks.tasks import TASKS
from tests.support.data_files import (
    CLEAN,
    COLUMNS,
    NAME,
    TASK,
    change,
    put,
    setting,
    under_name,
    whole,
)

# --- what is good ----------------------------------------------------------------------------


def test_a_saved_file_of_the_right_name_is_clean(path):
    assert examine(path, TASK) == CLEAN
    assert file_faults(path, TASK) == []


def test_an_end_that_is_neither_terminal_nor_timeout_is_clean(path):
    change(path, "timeouts", setting(-1, 0))
    assert examine(path, TASK) == CLEAN
    for key in COLUMNS:  # even where the last episode is cut short
        change(path, key, lambda column: column[:-2])
    assert under_name(path, TASK, "SafetyBallRun-v0-2-3.hdf5") == CLEAN


def test_one_episode_without_any_end_is_clean(tmp_path):
    whole(episode_costs=(4.0,)).save(tmp_path / "part")
    put(tmp_path / "part", "timeouts", np.zeros(4))
    assert under_name(tmp_path / "part", TASK, "SafetyBallRun-v0-4-1.hdf5") == CLEAN


@pytest.mark.parametrize("key", COLUMNS[3:])
def test_scalars_may_be_a_column_of_width_one(path, key):
    change(path, key, lambda column: column[:, None])
    assert examine(path, TASK) == CLEAN


@pytest.mark.parametrize("kind", ["uint8", "int64", "float16", "float64"])
def test_any_type_of_number_is_clean(path, kind):
    for key in ("costs", "terminals", "timeouts"):
        change(path, key, lambda column: column.astype(kind))
    assert file_faults(path, TASK) == []


def test_other_keys_and_attributes_are_nobodys_business(path):
    with h5py.File(path, "a") as file:
        file["infos/text"] = "more"
        file.attrs["min_return"] = np.nan
    assert examine(path, TASK) == CLEAN


# --- warnings --------------------------------------------------------------------------------


def test_actions_out_of_bounds_are_a_warning_beyond_rounding(path):
    change(path, "actions", setting((2, 1), 1 + 9e-5))
    assert examine(path, TASK) == CLEAN
    change(path, "actions", setting((2, 0), -1.25))
    assert examine(path, TASK) == Findings([], ["actions reach 1.25, outside [-1, 1]"])


def test_timeouts_before_the_horizon_are_a_warning(path):
    change(path, "timeouts", setting(5, 1))
    change(path, "costs", setting(slice(4, 8), 0))
    said = under_name(path, TASK, "SafetyBallRun-v0-4-4.hdf5")
    assert said == Findings([], ["2 episodes time out before step 4"])
    change(path, "terminals", setting([5, 7], 1))  # terminals may come any time
    assert under_name(path, TASK, "SafetyBallRun-v0-4-4.hdf5") == CLEAN


@pytest.mark.parametrize("count", [0, 2, 4, 300])
def test_episodes_unlike_the_name_are_a_warning(path, count):
    said = under_name(path, TASK, f"SafetyBallRun-v0-4-{count}.hdf5")
    assert said == Findings([], [f"there are 3 episodes where the name says {count}"])


@pytest.mark.parametrize(
    ("cost", "named", "fits"),
    [
        (299, 300, True),
        (300.5, 300, True),
        (301, 300, False),
        (270, 300, True),
        (269, 300, False),
        (82.5, 85, True),
        (0, 0, True),
        (1, 0, False),
    ],
)
def test_a_largest_cost_unlike_the_name_is_a_warning_beyond_rounding(tmp_path, cost, named, fits):
    task = replace(TASKS["PointCircle2"], horizon=4)
    whole(task, (0, cost)).save(tmp_path / "part")
    said = under_name(tmp_path / "part", task, task.dataset_file.replace("300-895", f"{named}-2"))
    wrong = f"the largest cost is {cost:g} where the name says {named}"
    assert said == Findings([], [] if fits else [wrong])


def test_the_files_own_name_counts_unless_another_is_given(path):
    other = path.rename(path.with_name("SafetyBallRun-v0-9-3.hdf5"))
    assert examine(other, TASK).warnings == ["the largest cost is 4 where the name says 9"]
    assert under_name(other, TASK, NAME) == CLEAN


@pytest.mark.parametrize("name", ["BallRun-0123456789ab.hdf5", "data.hdf5", f"{NAME}.part"])
def test_a_name_without_figures_promises_nothing(path, name):
    assert examine(path.rename(path.with_name(name)), TASK) == CLEAN


def test_warnings_are_no_faults(path):
    change(path, "actions", setting(0, 3))
    change(path, "timeouts", setting(5, 1))
    assert len(under_name(path, TASK, "SafetyBallRun-v0-9-9.hdf5").warnings) == 4
    assert file_faults(path, TASK) == []


# --- episodes, whatever their ends -----------------------------------------------------------

ENDS = st.sampled_from(["terminal", "timeout", "both"])


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(1, 5), ENDS, st.integers(0, 3)), min_size=1, max_size=8),
    st.booleans(),
)
def test_lengths_count_and_cost_are_those_of_the_episodes(tmp_path_factory, episodes, open_end):
    terminals, timeouts, costs = [], [], []
    for length, end, cost in episodes:
        idle = [0] * (length - 1)
        terminals += [*idle, int(end != "timeout")]
        timeouts += [*idle, int(end != "terminal")]
        costs += [cost, *idle]
    if open_end:
        terminals[-1] = timeouts[-1] = 0
    path = tmp_path_factory.mktemp("episodes") / "SafetyBallRun-v0-70-60.hdf5"
    rows = len(costs)
    with h5py.File(path, "w") as file:
        for key in ("observations", "next_observations"):
            file[key] = np.zeros((rows, 7))
        file["actions"], file["rewards"] = np.zeros((rows, 2)), np.zeros(rows)
        file["costs"], file["terminals"], file["timeouts"] = costs, terminals, timeouts
    longest = max(length for length, _, _ in episodes)
    closed = episodes[:-1] if open_end else episodes
    early = sum(end == "timeout" and length < 4 for length, end, _ in closed)
    largest = max(cost for _, _, cost in episodes)
    long = f"an episode has {longest} steps where BallRun ends after 4"
    assert examine(path, TASK) == Findings(
        [long] if longest > 4 else [],
        [
            *([f"{early} episodes time out before step 4"] if early else []),
            f"there are {len(episodes)} episodes where the name says 60",
            f"the largest cost is {largest} where the name says 70",
        ],
    )


# --- memory ----------------------------------------------------------------------------------


def test_one_column_at_a_time_is_in_memory(tmp_path):
    task = replace(TASKS["BallRun"], horizon=500)
    rows, path = 800_000, tmp_path / "large.hdf5"
    with h5py.File(path, "w") as file:
        for key, width in (("observations", 7), ("next_observations", 7), ("actions", 2)):
            file[key] = np.zeros((rows, width), dtype=np.float32)
        for key in ("rewards", "costs"):
            file[key] = np.zeros(rows, dtype=np.float32)
        file["terminals"] = np.zeros(rows, dtype=bool)
        file["timeouts"] = np.arange(rows) % 500 == 499
        largest = file["observations"].nbytes
    assert path.stat().st_size > 58e6
    tracemalloc.start()
    try:
        assert examine(path, task) == CLEAN
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.6 * largest  # the column and what is computed of it; two are 2.0
