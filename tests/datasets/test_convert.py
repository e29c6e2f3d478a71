"""Data of other formats: the same transitions, in DSRL's format, with scaled actions."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.common.errors import UserError
from benchmarks.data import main
from benchmarks.datasets.convert import Range, convert
from benchmarks.datasets.trajectories import Trajectories

LENGTHS = (3, 5, 2)


def episodes(lengths=LENGTHS, seed=0):
    """Episodes with actions from -2 to 2; the second is terminated, the others time out."""
    rng = np.random.default_rng(seed)
    return [
        {
            "observations": rng.normal(size=(n + 1, 4)).astype(np.float32),
            "actions": rng.uniform(-2.0, 2.0, (n, 2)).astype(np.float32),
            "rewards": rng.normal(size=n).astype(np.float32),
            "costs": rng.integers(0, 2, n).astype(np.float32),
            "terminated": i == 1,
        }
        for i, n in enumerate(lengths)
    ]


def flat(parts):
    """The arrays of a D4RL-style file."""
    last = np.concatenate([np.arange(len(p["rewards"]))[::-1] == 0 for p in parts])
    terminated = np.repeat([p["terminated"] for p in parts], [len(p["rewards"]) for p in parts])
    return {
        "observations": np.concatenate([p["observations"][:-1] for p in parts]),
        "next_observations": np.concatenate([p["observations"][1:] for p in parts]),
        "actions": np.concatenate([p["actions"] for p in parts]),
        "rewards": np.concatenate([p["rewards"] for p in parts]),
        "costs": np.concatenate([p["costs"] for p in parts]),
        "terminals": last & terminated,
        "timeouts": last & ~terminated,
    }


def write_d4rl(path, parts, **renamed):
    with h5py.File(path, "w") as file:
        for name, array in flat(parts).items():
            if renamed.get(name, name):
                file[renamed.get(name, name)] = array
    return path


def write_minari(folder, parts, bounds=None):
    (folder / "data").mkdir(parents=True)
    with h5py.File(folder / "data" / "main_data.hdf5", "w") as file:
        for i, part in enumerate(parts):
            group = file.create_group(f"episode_{i}")
            for name in ("observations", "actions", "rewards"):
                group[name] = part[name]
            last = np.arange(len(part["rewards"])) == len(part["rewards"]) - 1
            group["terminations"] = last & part["terminated"]
            group["truncations"] = last & (not part["terminated"])
            group["infos/cost"] = np.append(0.0, part["costs"])  # the reset has an entry too
    if bounds:
        space = json.dumps({"type": "Box", "low": [bounds[0]] * 2, "high": [bounds[1]] * 2})
        (folder / "data" / "metadata.json").write_text(json.dumps({"action_space": space}))
    return folder


def write_table(path, parts, shuffle=True):
    rows = [
        {
            **{"episode": e, "step": t, "reward": p["rewards"][t], "cost": p["costs"][t]},
            **{f"observation_{i}": v for i, v in enumerate(p["observations"][t])},
            **{f"next_observation_{i}": v for i, v in enumerate(p["observations"][t + 1])},
            **{f"action_{i}": v for i, v in enumerate(p["actions"][t])},
            "terminated": p["terminated"] and t == len(p["rewards"]) - 1,
        }
        for e, p in enumerate(parts)
        for t in range(len(p["rewards"]))
    ]
    frame = pd.DataFrame(rows)
    (frame.sample(frac=1.0, random_state=0) if shuffle else frame).to_csv(path, index=False)
    return path


WRITERS = {
    "d4rl": lambda folder, parts: write_d4rl(folder / "logs.hdf5", parts),
    "minari": lambda folder, parts: write_minari(folder / "logs", parts),
    "table": lambda folder, parts: write_table(folder / "logs.csv", parts),
}


@pytest.mark.parametrize("format", WRITERS)
def test_every_format_gives_the_same_trajectories(format, tmp_path):
    parts = episodes()
    path = WRITERS[format](tmp_path, parts)
    data = convert(path, actions=Range([-2.0], [2.0]))
    expected = flat(parts)
    np.testing.assert_array_equal(data.lengths, LENGTHS)
    for name in ("observations", "next_observations", "rewards", "costs"):
        np.testing.assert_allclose(getattr(data, name), expected[name], rtol=1e-6)
    np.testing.assert_allclose(data.actions, expected["actions"] / 2.0, rtol=1e-5)
    np.testing.assert_array_equal(data.terminals, expected["terminals"])


def test_bounds_come_from_minaris_metadata(tmp_path):
    parts = episodes()
    data = convert(write_minari(tmp_path / "logs", parts, bounds=(-2.0, 2.0)))
    np.testing.assert_allclose(data.actions, flat(parts)["actions"] / 2.0, rtol=1e-5)


@given(
    low=st.lists(st.floats(-50.0, 49.0), min_size=2, max_size=2),
    width=st.lists(st.floats(0.5, 100.0), min_size=2, max_size=2),
)
def test_bounds_become_the_ends_of_the_unit_interval(low, width, tmp_path_factory):
    high = [a + b for a, b in zip(low, width, strict=True)]
    part = episodes((3,))[0]
    part["actions"] = np.array([low, high, np.add(low, high) / 2])
    path = write_d4rl(tmp_path_factory.mktemp("bounds") / "logs.hdf5", [part])
    actions = convert(path, actions=Range(low, high)).actions
    np.testing.assert_allclose(actions, [[-1, -1], [1, 1], [0, 0]], atol=1e-5)


def test_the_command_writes_a_file_that_loads_and_names_the_horizon(tmp_path, capsys):
    path, out = write_table(tmp_path / "logs.csv", episodes()), tmp_path / "mine.hdf5"
    bounds = ("--action-low", "-2", "-2", "--action-high", "2", "2")
    assert main(["convert", str(path), str(out), *bounds]) == 0
    printed = capsys.readouterr().out
    data = Trajectories.load(out, "mine")
    assert len(data) == len(LENGTHS)
    assert "horizon = 5" in printed
    assert f"max_cost = {data.episode_costs.max():g}" in printed


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (lambda p: write_d4rl(p / "a.hdf5", episodes()), {}, r"outside of -1 to 1: .*--action-low"),
        (lambda p: write_d4rl(p / "a.hdf5", episodes(), costs=""), {}, r"has no cost .*--costs"),
        (
            lambda p: write_d4rl(p / "a.hdf5", episodes(), terminals="", timeouts=""),
            {},
            "has neither terminals nor",
        ),
        (lambda p: p / "a.hdf5", {}, "no such file"),
        (lambda p: write_table(p / "a.txt", episodes()), {}, "give --format"),
        (lambda p: write_table(p / "a.csv", episodes()), {"costs": "risk"}, "no column 'risk'"),
        (lambda p: write_table(p / "a.csv", episodes()), {"format": "rlds"}, "none of minari"),
        (lambda p: p, {}, r"no data/main_data\.hdf5"),
        (
            lambda p: write_d4rl(p / "a.hdf5", episodes()),
            {"actions": Range([-2.0] * 3, [2.0] * 3)},
            "one bound of the actions, or 2",
        ),
        (
            lambda p: write_d4rl(p / "a.hdf5", episodes()),
            {"actions": Range([2.0], [-2.0])},
            "no intervals",
        ),
    ],
)
def test_mistakes_are_named_in_one_line(make, arguments, message, tmp_path):
    with pytest.raises(UserError, match=message) as error:
        convert(make(tmp_path), **arguments)
    assert "\n" not in str(error.value)


def test_damage_is_one_line(tmp_path):
    path = write_d4rl(tmp_path / "a.hdf5", episodes())
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match="cannot be read as d4rl"):
        convert(path)


def test_an_episode_that_goes_on_after_its_end_is_refused(tmp_path):
    path = write_table(tmp_path / "a.csv", episodes(), shuffle=False)
    frame = pd.read_csv(path)
    frame.loc[0, "terminated"] = True
    frame.to_csv(path, index=False)
    with pytest.raises(UserError, match="episode 0 goes on"):
        convert(path, actions=Range([-2.0], [2.0]))
