"""The container of offline data and its files."""

import hashlib
import subprocess
import sys

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.common.errors import UserError
from benchmarks.datasets.trajectories import Trajectories

lengths = st.lists(st.integers(1, 9), min_size=1, max_size=12)
quick = settings(deadline=None, max_examples=50)  # a busy machine is no failure
KEYS = ("observations", "next_observations", "actions", "rewards", "costs")


def flat(lengths, *, seed=0, ends=None):
    """Arguments of `from_arrays` for episodes of these lengths, ended as `ends` says.

    A character an episode: "terminal", "Out of time", "both", "neither" (for the last one only).
    """
    rng, size = np.random.default_rng(seed), sum(lengths)
    last = np.cumsum(lengths) - 1
    ends = ends or "".join(rng.choice(list("tob"), len(lengths)))
    terminals, timeouts = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
    terminals[last] = [end in "tb" for end in ends]
    timeouts[last] = [end in "ob" for end in ends]
    return {
        "observations": rng.normal(size=(size, 3)).astype(np.float32),
        "actions": rng.uniform(-1, 1, (size, 2)).astype(np.float32),
        "rewards": rng.normal(size=size).astype(np.float32),
        "costs": rng.integers(0, 2, size).astype(np.float32),
        "terminals": terminals,
        "timeouts": timeouts,
        "next_observations": rng.normal(size=(size, 3)).astype(np.float32),
    }


def episodes(data):
    """Each episode as its own arrays."""
    cuts = data.starts[1:-1]
    return [
        dict(zip((*KEYS, "terminals"), parts, strict=True))
        for parts in zip(
            *(np.split(getattr(data, key), cuts) for key in (*KEYS, "terminals")), strict=True
        )
    ]


def equal(one, other):
    return (
        all(
            np.array_equal(getattr(one, key), getattr(other, key))
            and getattr(one, key).dtype == getattr(other, key).dtype
            for key in (*KEYS, "terminals", "starts")
        )
        and one.source == other.source
    )


# --- arrays ----------------------------------------------------------------------------------


@quick
@given(lengths, st.integers(0, 99))
def test_sums_equal_those_of_a_loop(lengths, seed):
    data = Trajectories.from_arrays(**flat(lengths, seed=seed))
    assert len(data) == len(lengths)
    assert data.lengths.tolist() == lengths
    assert data.timesteps.tolist() == [t for length in lengths for t in range(length)]
    returns, costs, to_go = [], [], []
    for episode in episodes(data):
        rewards = [float(reward) for reward in episode["rewards"]]
        returns.append(sum(rewards))
        costs.append(float(sum(episode["costs"])))
        to_go += [sum(rewards[t:]) for t in range(len(rewards))]
    np.testing.assert_allclose(data.returns, returns, rtol=1e-12, atol=1e-12)
    assert data.episode_costs.tolist() == costs
    np.testing.assert_allclose(data.to_go(data.rewards), to_go, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(data.to_go(data.costs)[data.starts[:-1]], costs)


@quick
@given(lengths, st.sampled_from("tobn"))
def test_an_episode_ends_at_a_terminal_or_a_timeout(lengths, last):
    arrays = flat(lengths, ends="tob"[: len(lengths)].ljust(len(lengths), "o")[:-1] + last)
    data = Trajectories.from_arrays(**arrays)
    assert data.lengths.tolist() == lengths
    np.testing.assert_array_equal(data.terminals, arrays["terminals"])


@quick
@given(lengths)
def test_next_observations_default_to_the_following_row(lengths):
    arrays = flat(lengths)
    del arrays["next_observations"]
    for episode in episodes(Trajectories.from_arrays(**arrays)):
        seen = episode["observations"]
        np.testing.assert_array_equal(episode["next_observations"], [*seen[1:], seen[-1]])


@quick
@given(lengths, st.data())
def test_select_takes_whole_episodes_in_the_order_given(lengths, draw):
    data = Trajectories.from_arrays(**flat(lengths), source="here", checksum="abc")
    chosen = draw.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=9))
    part = data.select(np.array(chosen))
    assert (part.source, part.checksum) == ("here", "abc")
    every = episodes(data)
    for ours, episode in zip(episodes(part), chosen, strict=True):
        for key, column in ours.items():
            np.testing.assert_array_equal(column, every[episode][key])
    np.testing.assert_array_equal(part.returns, data.returns[chosen])


def test_no_episode_cannot_be_selected():
    data = Trajectories.from_arrays(**flat([3]))
    with pytest.raises(UserError, match="no episode"):
        data.select(np.array([], dtype=int))


def test_columns_may_have_a_second_axis_of_one():
    arrays = flat([2, 3])
    wide = arrays | {
        key: arrays[key][:, None] for key in ("rewards", "costs", "terminals", "timeouts")
    }
    assert equal(Trajectories.from_arrays(**wide), Trajectories.from_arrays(**arrays))


def spoiled(**changes):
    return flat([4, 3]) | changes


def with_value(key, row, value):
    column = flat([4, 3])[key].copy()
    column[row] = value
    return {key: column}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (with_value("observations", (5, 1), np.nan), "observations holds NaN or infinity.* row 5"),
        (with_value("next_observations", (0, 2), -np.inf), "next_observations holds .* row 0"),
        (with_value("actions", (6, 0), np.nan), "actions holds NaN or infinity, first in row 6"),
        (with_value("rewards", 2, np.inf), "rewards holds NaN or infinity, first in row 2"),
        (with_value("costs", 3, np.nan), "costs holds NaN or infinity, first in row 3"),
        ({"costs": np.zeros(6)}, "costs has 6 rows where rewards has 7"),
        ({"actions": np.zeros((8, 2))}, "actions has 8 rows where rewards has 7"),
        ({"terminals": np.zeros(5)}, "terminals has 5 rows where rewards has 7"),
        ({"timeouts": np.zeros(0)}, "timeouts has 0 rows where rewards has 7"),
        ({"next_observations": np.zeros((7, 4))}, "next_observations and observations differ"),
        ({"observations": np.zeros(7)}, "observations must have two dimensions, not 1"),
        ({"observations": 1.0}, "observations has 1 rows where rewards has 7"),
        ({"actions": np.zeros((7, 1, 2))}, "actions must have two dimensions, not 3"),
        ({"actions": [["left", "right"]] * 7}, "actions is not an array of numbers"),
        ({"observations": [[1.0], [1.0, 2.0]]}, "observations is not an array of numbers"),
        ({"rewards": []}, "the data hold no transition"),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(changes, message):
    with pytest.raises(UserError, match=message) as caught:
        Trajectories.from_arrays(**spoiled(**changes))
    assert "\n" not in str(caught.value)


# --- files -----------------------------------------------------------------------------------


@quick
@given(lengths, st.integers(0, 99), st.sampled_from("tobn"))
def test_a_file_gives_back_what_was_saved(tmp_path_factory, lengths, seed, last):
    rng = np.random.default_rng(seed)
    ends = "".join(rng.choice(list("tob"), len(lengths) - 1)) + last
    data = Trajectories.from_arrays(**flat(lengths, seed=seed, ends=ends), source="here")
    path = tmp_path_factory.mktemp("round") / "data.hdf5"
    data.save(path, min_return=-1.5, note="x")
    assert equal(Trajectories.load(path, "here"), data)
    with h5py.File(path) as file:
        assert dict(file.attrs) == {"min_return": -1.5, "note": "x"}
        np.testing.assert_array_equal(file["terminals"][()], data.terminals)
        last_steps = np.flatnonzero(file["terminals"][()] | file["timeouts"][()])
        assert not (file["terminals"][()] & file["timeouts"][()]).any()
    np.testing.assert_array_equal(last_steps, data.starts[1:] - 1)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "data.hdf5"
    Trajectories.from_arrays(**flat([40, 30])).save(path)
    return path


def test_a_published_file_is_read(tmp_path):
    """As DSRL writes them: other keys besides, float64, flags as numbers, the last end missing."""
    path, arrays = tmp_path / "published.hdf5", flat([5, 4, 6], ends="ton")
    with h5py.File(path, "w") as file:
        for key, column in arrays.items():
            file[key] = column.astype(np.float64)
        file["infos/velocity"] = np.zeros(15)
    data = Trajectories.load(path, "dsrl")
    assert data.lengths.tolist() == [5, 4, 6]
    assert data.terminals.nonzero()[0].tolist() == [4]
    assert data.observations.dtype == data.rewards.dtype == np.float32
    np.testing.assert_array_equal(data.next_observations, arrays["next_observations"])
    assert data.source == "dsrl"


def test_the_checksum_is_that_of_the_file(path):
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    assert Trajectories.load(path, "x").checksum == expected
    Trajectories.load(path, "x").save(path, note="another byte")
    assert Trajectories.load(path, "x").checksum != expected


def test_equal_data_make_equal_files(path, tmp_path):
    other = tmp_path / "other.hdf5"
    Trajectories.load(path, "x").save(other)
    assert other.read_bytes() == path.read_bytes()


def refused(path, message):
    with pytest.raises(UserError, match=message) as caught:
        Trajectories.load(path, "x")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    refused(tmp_path / "nothing.hdf5", "no such data file")
    refused(tmp_path, "no such data file")


@pytest.mark.parametrize("content", [b"", b"<html>502 Bad Gateway</html>"])
def test_what_is_not_hdf5_is_refused(tmp_path, content):
    path = tmp_path / "data.hdf5"
    path.write_bytes(content)
    refused(path, "damaged or not HDF5")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_half_a_download_is_refused(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path, "damaged or not HDF5")


def test_missing_columns_are_listed(path):
    with h5py.File(path, "a") as file:
        del file["costs"], file["timeouts"]
    refused(path, "lacks costs, timeouts")


@pytest.mark.parametrize("column", ["a group", "of strings"])
def test_columns_that_are_no_numbers_are_refused(path, column):
    with h5py.File(path, "a") as file:
        del file["actions"]
        if column == "a group":
            file["actions/left"] = np.zeros(70)
        else:
            file["actions"] = [["left", "right"]] * 70
    refused(path, "lacks actions|not an array of numbers")


def test_arrays_that_do_not_fit_are_told_with_the_file(path):
    with h5py.File(path, "a") as file:
        del file["costs"]
        file["costs"] = np.zeros(69)
    refused(path, "costs has 69 rows where rewards has 70")


def test_damage_anywhere_is_a_user_error_or_harmless(path):
    content, rng = path.read_bytes(), np.random.default_rng(0)
    refusals = 0
    for _ in range(150):
        broken = bytearray(content)
        for place in rng.integers(len(content), size=3):
            broken[place] ^= 1 << rng.integers(8)
        path.write_bytes(bytes(broken))
        try:
            Trajectories.load(path, "x")
        except UserError:
            refusals += 1
    assert refusals > 50


def columns(path):
    """Each column's name, and where in the file its values lie: from, and how many bytes."""
    with h5py.File(path) as file:
        for key, column in file.items():
            for i in range(column.id.get_num_chunks()):
                chunk = column.id.get_chunk_info(i)
                yield key, chunk.byte_offset, chunk.size


def test_a_changed_bit_of_any_column_is_noticed(path):
    content, places = path.read_bytes(), list(columns(path))
    assert {key for key, _, _ in places} == {*KEYS, "terminals", "timeouts"}
    for _, start, size in places:
        for place in (start, start + size // 2, start + size - 1):
            broken = bytearray(content)
            broken[place] ^= 1
            path.write_bytes(bytes(broken))
            refused(path, "damaged or not HDF5")


def test_a_large_column_is_saved_in_pieces(tmp_path):
    path, size = tmp_path / "large.hdf5", 70_000
    rows = np.arange(3 * size, dtype=np.float32).reshape(size, 3)
    flags = np.arange(size) % 100 == 99
    data = Trajectories.from_arrays(rows, rows[:, :1], rows[:, 0], rows[:, 1], flags, flags, rows)
    data.save(path)
    pieces = [key for key, _, _ in columns(path)]
    assert (pieces.count("observations"), pieces.count("terminals")) == (4, 1)
    assert equal(Trajectories.load(path, "arrays"), data)
    whole = sum(getattr(data, key).nbytes for key in (*KEYS, "terminals")) + size
    assert path.stat().st_size < 1.02 * whole


def test_a_compressed_file_is_read(path, tmp_path):
    """As the published ones are, and as sets were saved that were generated earlier."""
    packed = tmp_path / "packed.hdf5"
    with h5py.File(path) as file, h5py.File(packed, "w") as other:
        for key, column in file.items():
            other.create_dataset(key, data=column[()], compression="gzip")
    assert equal(Trajectories.load(packed, "x"), Trajectories.load(path, "x"))


MEASURE = """
import re, sys
from pathlib import Path
from benchmarks.datasets.trajectories import Trajectories
status = Path("/proc/self/status")
peak = lambda: 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read_text())[1])
before = peak()
data = Trajectories.load(Path(sys.argv[1]), "dsrl")
data.to_go(data.rewards)
columns = "observations next_observations actions rewards costs terminals".split()
print((peak() - before) / sum(getattr(data, column).nbytes for column in columns))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_loading_takes_little_more_memory_than_the_arrays(tmp_path, kind):
    """A tenth of AntCircle's published set, in its widths, in single or double precision."""
    size, path = 290_000, tmp_path / "large.hdf5"
    with h5py.File(path, "w") as file:
        for key, width in (("observations", 34), ("next_observations", 34), ("actions", 8)):
            file[key] = np.ones((size, width), kind)
        file["rewards"] = file["costs"] = np.ones(size, kind)
        file["terminals"], file["timeouts"] = np.zeros(size, bool), np.arange(size) % 500 == 499
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE, path], capture_output=True, text=True, check=True
    )
    assert 0.9 < float(measured.stdout) < 1.6
