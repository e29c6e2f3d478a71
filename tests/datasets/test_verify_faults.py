"""Faults that `verify` finds in a data file, each planted in a good one."""

import h5py
import numpy as np
import pytest

from benchmarks.datasets.verify import Findings, examine, file_faults
from tests.support.data_files import COLUMNS, TASK, change, put, setting


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
    assert examine(path, TASK) == Findings([f"it lacks {key} (a group stands there)"], [])


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
        assert said == ("it is a folder" if missing == tmp_path else "it does not exist")
