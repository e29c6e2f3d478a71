"""What `verify` finds in a data file, each thing by damaging a good one there."""

import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import data as command
from benchmarks.datasets.source import choose
from benchmarks.datasets.trajectories import Trajectories
from benchmarks.datasets.verify import Findings, examine, file_faults
from benchmarks.tasks.tasks import TASKS

TASK = replace(TASKS["BallRun"], horizon=4)
NAME = "SafetyBallRun-v0-4-3.hdf5"
COLUMNS = (
    "observations",
    "next_observations",
    "actions",
    "rewards",
    "costs",
    "terminals",
    "timeouts",
)
CLEAN = Findings([], [])


def whole(task=TASK, episode_costs=(0.0, 1.0, 4.0)):
    """Episodes of full length that have these costs."""
    rng = np.random.default_rng(0)
    length = task.horizon
    rows = length * len(episode_costs)
    ends = np.arange(rows) % length == length - 1
    return Trajectories.from_arrays(
        rng.normal(size=(rows, task.observation_dim)),
        rng.uniform(-1, 1, (rows, task.action_dim)),
        rng.normal(size=rows),
        np.repeat(episode_costs, length) / length,
        np.zeros(rows),
        ends,
    )


@pytest.fixture
def path(tmp_path):
    """A good file: three episodes of four steps that cost 0, 1 and 4."""
    whole().save(tmp_path / NAME)
    return tmp_path / NAME


def put(path, key, values):
    """Replace a column."""
    with h5py.File(path, "a") as file:
        del file[key]
        file[key] = values


def change(path, key, change_column):
    """Put a column as `change_column` leaves it, or what it returns."""
    with h5py.File(path) as file:
        column = file[key][()]
    changed = change_column(column)
    put(path, key, column if changed is None else changed)


def setting(rows, value):
    """Change some rows of a column."""

    def change_column(column):
        column[rows] = value

    return change_column


def under_name(path, task, name):
    """What is found in the file under another name."""
    folder = path.parent / "renamed"
    folder.mkdir(exist_ok=True)
    return examine(Path(shutil.copy(path, folder / name)), task)


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


# --- faults ----------------------------------------------------------------------------------


def faults_after(path, key, change_column):
    change(path, key, change_column)
    return examine(path, TASK).faults


@pytest.mark.parametrize("key", COLUMNS)
def test_a_missing_key_is_a_fault(path, key):
    with h5py.File(path, "a") as file:
        del file[key]
    assert examine(path, TASK) == Findings([f"it lacks {key}"], [])


def test_all_missing_keys_are_one_fault(path):
    with h5py.File(path, "a") as file:
        del file["timeouts"], file["costs"]
    assert examine(path, TASK) == Findings(["it lacks costs, timeouts"], [])


@pytest.mark.parametrize("key", COLUMNS)
def test_a_group_in_a_columns_place_is_a_fault(path, key):
    with h5py.File(path, "a") as file:
        del file[key]
        file.create_group(key)
    assert examine(path, TASK) == Findings([f"it lacks {key}"], [])


@pytest.mark.parametrize("key", ["observations", "next_observations", "actions"])
def test_a_wrong_width_is_a_fault(path, key):
    right = 2 if key == "actions" else 7
    for shape in ((12, right + 1), (12, right, 1), (12,)):
        said = faults_after(path, key, lambda column, shape=shape: np.zeros(shape))
        assert said == [f"{key} has shape {shape} instead of {(12, right)}"]


@pytest.mark.parametrize("key", ["rewards", "terminals"])
def test_scalars_of_width_two_are_a_fault(path, key):
    said = faults_after(path, key, lambda column: np.zeros((12, 2)))
    assert said == [f"{key} has shape (12, 2) instead of (12,)"]


@pytest.mark.parametrize("key", [key for key in COLUMNS if key != "rewards"])
def test_rows_unlike_those_of_rewards_are_a_fault(path, key):
    (said,) = faults_after(path, key, lambda column: column[:-1])
    assert said.startswith(f"{key} has shape (11,")
    assert " instead of (12," in said


@pytest.mark.parametrize("key", COLUMNS)
@pytest.mark.parametrize(("kind", "told"), [("S3", "|S3"), (h5py.string_dtype(), "object")])
def test_text_instead_of_numbers_is_a_fault(path, key, kind, told):
    said = faults_after(path, key, lambda column: np.full(column.shape, "0.5").astype(kind))
    assert said == [f"{key} holds {told} instead of numbers"]


@pytest.mark.parametrize("key", COLUMNS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_finite_number_is_a_fault(path, key, value):
    def spoil(column):
        column = column.astype(float)
        column[[5, 7]] = value
        return column

    said = faults_after(path, key, spoil)
    assert said == [f"{key} holds NaN or infinity in 2 rows, first in row 5"]


def test_a_number_that_single_precision_cannot_hold_is_infinite(path, recwarn):
    change(path, "rewards", lambda column: column.astype(float))
    assert file_faults(path, TASK) == []
    said = faults_after(path, "rewards", setting(3, -1e39))
    assert said == ["rewards holds NaN or infinity in 1 rows, first in row 3"]
    assert list(recwarn) == []


def test_a_negative_cost_is_a_fault(path):
    assert faults_after(path, "costs", setting([2, 3], [-0.5, -0.25])) == [
        "costs are negative, down to -0.5"
    ]


@pytest.mark.parametrize("key", ["terminals", "timeouts"])
@pytest.mark.parametrize("value", [2, -1, 0.5])
def test_an_end_other_than_yes_or_no_is_a_fault(path, key, value):
    change(path, key, lambda column: column.astype(float))
    assert faults_after(path, key, setting(6, value)) == [f"{key} holds values other than 0 and 1"]


def test_an_episode_beyond_the_horizon_is_a_fault(path):
    assert faults_after(path, "timeouts", setting(3, 0)) == [
        "an episode has 8 steps where BallRun ends after 4"
    ]
    change(path, "timeouts", lambda column: column[:, None])
    assert file_faults(path, TASK) == ["an episode has 8 steps where BallRun ends after 4"]


def test_a_last_episode_without_end_is_not_longer_either(path):
    assert faults_after(path, "timeouts", setting([7, 11], 0)) == [
        "an episode has 8 steps where BallRun ends after 4"
    ]


def test_no_transition_is_a_fault(path):
    for key in COLUMNS:
        change(path, key, lambda column: column[:0])
    assert examine(path, TASK) == Findings(["it holds no transition"], [])


def test_one_number_in_a_columns_place_is_a_fault(path):
    assert faults_after(path, "rewards", lambda column: 1.0) == ["it holds no transition"]
    put(path, "rewards", np.zeros(12))
    assert faults_after(path, "costs", lambda column: 1.0) == [
        "costs has shape () instead of (12,)"
    ]


def test_faults_of_several_columns_are_told_together(path):
    change(path, "observations", setting(1, np.nan))
    change(path, "costs", setting(0, -1))
    change(path, "timeouts", lambda column: 2 * column.astype(int))
    change(path, "actions", setting(0, 3))
    assert examine(path, TASK) == Findings(
        [
            "observations holds NaN or infinity in 1 rows, first in row 1",
            "costs are negative, down to -1",
            "timeouts holds values other than 0 and 1",
        ],
        ["actions reach 3, outside [-1, 1]"],
    )
    put(path, "actions", np.zeros((12, 3)))
    put(path, "costs", np.zeros(13))
    assert file_faults(path, TASK) == [
        "actions has shape (12, 3) instead of (12, 2)",
        "costs has shape (13,) instead of (12,)",
    ]


@pytest.mark.parametrize("kept", [0, 1, 8, 1000, -1000, -1])
def test_a_file_that_is_cut_short_is_a_fault(path, kept):
    path.write_bytes(path.read_bytes()[:kept])
    (said,) = examine(path, TASK).faults
    assert said.startswith("it is damaged or not HDF5 (")
    assert "\n" not in said


@pytest.mark.parametrize("content", [b"<html>\n502 Bad\nGateway</html>", b"\0" * 5000])
def test_a_file_that_is_not_hdf5_is_a_fault(path, content):
    path.write_bytes(content)
    (said,) = examine(path, TASK).faults
    assert said.startswith("it is damaged or not HDF5 (")
    assert "\n" not in said


@pytest.mark.parametrize("key", COLUMNS)
def test_damage_within_a_column_is_a_fault(path, key):
    with h5py.File(path) as file:
        piece = file[key].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[piece.byte_offset + piece.size - 1] ^= 0xFF
    path.write_bytes(content)
    (said,) = examine(path, TASK).faults
    assert said.startswith("it is damaged or not HDF5 (")


def test_a_file_that_is_not_there_is_a_fault(tmp_path):
    for missing in (tmp_path, tmp_path / "none.hdf5"):
        (said,) = examine(missing, TASK).faults
        assert said.startswith("it is damaged or not HDF5 (")


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


# --- python -m benchmarks.data verify --------------------------------------------------------

BALL = TASKS["BallRun"]


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A file under a published name: two whole episodes that cost 0 and 80."""
    monkeypatch.setenv("OSRL_BENCH_CACHE", str(tmp_path / "cache"))
    path = tmp_path / BALL.dataset_file
    whole(BALL, (0, 80)).save(path)
    return path


def run(capsys, *arguments):
    """Exit status, lines of output and of errors."""
    status = command.main(["verify", *map(str, arguments)])
    printed = capsys.readouterr()
    return status, printed.out.splitlines(), printed.err.splitlines()


def test_verify_sums_up_a_whole_file(published, capsys):
    path = published.rename(published.with_name("mine.hdf5"))
    status, (line,), errors = run(capsys, path, "--task", "BallRun")
    assert (status, errors) == (0, [])
    assert line.startswith(f"{path}: a whole data set. BallRun: 2 episodes, 200 transitions; ")
    assert line.endswith(f"; sha256 {Trajectories.load(path, '').checksum}")


def test_verify_tells_warnings_and_that_the_file_is_whole(published, capsys):
    status, (warning, line), errors = run(capsys, published)
    assert (status, errors) == (0, [])
    assert warning == f"{published}: warning: there are 2 episodes where the name says 940"
    assert line.startswith(f"{published}: a whole data set. ")


def test_verify_tells_a_fault_a_line_and_fails(published, capsys):
    change(published, "costs", setting(0, -2))
    change(published, "rewards", setting(0, np.nan))
    change(published, "actions", setting(0, 2))
    assert run(capsys, published) == (
        1,
        [
            f"{published}: fault: rewards holds NaN or infinity in 1 rows, first in row 0",
            f"{published}: fault: costs are negative, down to -2",
            f"{published}: warning: actions reach 2, outside [-1, 1]",
        ],
        [],
    )


@pytest.mark.parametrize("content", [b"", b"<html>502</html>", None])
def test_verify_of_what_is_no_data_file_fails_in_one_line(published, capsys, content):
    published.write_bytes(published.read_bytes()[:-9] if content is None else content)
    status, (line,), errors = run(capsys, published)
    assert (status, errors) == (1, [])
    assert line.startswith(f"{published}: fault: it is damaged or not HDF5 (")


def test_what_verify_calls_whole_can_be_loaded(published, capsys):
    change(published, "rewards", lambda column: np.full(column.shape, 1e39))
    status, (line,), errors = run(capsys, published)
    assert (status, errors) == (1, [])
    assert "rewards holds NaN or infinity" in line


def test_verify_knows_a_generated_file_by_its_name(published, capsys):
    (made,) = choose("generated", [BALL])
    made.path.parent.mkdir(parents=True)
    published.rename(made.path)
    status, (line,), errors = run(capsys, made.path)
    assert (status, errors) == (0, [])
    assert line.startswith(f"{made.path}: a whole data set. BallRun: 2 episodes")


def test_verify_takes_the_named_task_rather_than_the_files(published, capsys):
    status, lines, errors = run(capsys, published, "--task", "BallCircle")
    assert (status, errors) == (1, [])
    assert [line.split(" instead")[0] for line in lines] == [
        f"{published}: fault: observations has shape (200, 7)",
        f"{published}: fault: next_observations has shape (200, 7)",
    ]


def test_verify_refuses_in_one_line_what_it_cannot_examine(published, capsys, tmp_path):
    other = tmp_path / "other.hdf5"
    asked = {
        (other,): "error: other.hdf5 is not the name of a task's file: say which by --task",
        (other, "--task", "BallRun"): f"error: {other}: no such data file",
        (tmp_path, "--task", "BallRun"): f"error: {tmp_path}: no such data file",
        (tmp_path / "none" / BALL.dataset_file,): (
            f"error: {tmp_path / 'none' / BALL.dataset_file}: no such data file"
        ),
    }
    for arguments, expected in asked.items():
        assert run(capsys, *arguments) == (2, [], [expected])
    status, lines, (error,) = run(capsys, published, "--task", "BalRun")
    assert (status, lines) == (2, [])
    assert error.startswith("error: unknown task 'BalRun': did you mean BallRun? ")
