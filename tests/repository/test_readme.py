"""What the README shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.methods.conformance import check_algorithm
from benchmarks.methods.registry import find_method
from benchmarks.run import main
from tests.support.small_data import SmallData

README = (Path(__file__).parents[2] / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def block(word: str) -> str:
    """The one Python block that contains `word`."""
    (found,) = [text for text in PYTHON if word in text]
    return found


def test_the_method_in_the_readme_keeps_the_contract_and_is_ranked(
    small_data: SmallData, tmp_path: Path
) -> None:
    plugin = tmp_path / "top_bc.py"
    plugin.write_text(block("class TopBC"))
    check_algorithm(find_method(f"{plugin}:TopBC").cls)
    status = main(
        [
            *("--suite", "loose", "--tasks", "BallRun", "--data", str(small_data.folder)),
            *("--algorithms", f"{plugin}:TopBC", "--updates", "5", "--episodes", "1"),
            *("--results", str(tmp_path / "results")),
        ]
    )
    assert status == 0
    table = pd.read_csv(tmp_path / "results" / "loose" / "leaderboard.csv")
    assert list(table["algorithm"]) == ["top-bc"] * 3
    picture = tmp_path / "results" / "loose" / "pictures" / "frontier.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_gas_by_itself_runs_on_ones_own_arrays(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    size, length = 600, 60
    names = {
        "observations": rng.normal(size=(size, 3)).astype(np.float32),
        "actions": rng.uniform(-1, 1, (size, 2)),
        "rewards": rng.normal(size=size),
        "costs": rng.integers(0, 2, size),
        "terminals": np.zeros(size, dtype=bool),
        "timeouts": np.arange(1, size + 1) % length == 0,
    }
    code = block("from gas import GAS").replace("6_000", "20").replace("batch=512", "batch=32")
    exec(compile(code, "README.md", "exec"), names)
    assert names["actions"].shape == (2, 2)
    assert "reward_goal_loss" in capsys.readouterr().out


def test_the_readme_opens_with_the_two_commands() -> None:
    commands = re.search(r"```sh\n(.*?)```", README, re.DOTALL)
    assert commands is not None
    assert [line.split("#")[0].strip() for line in commands[1].strip().splitlines()] == [
        "make quickstart",
        "make test",
    ]


def test_pictures_and_files_that_the_readme_names_are_there() -> None:
    root = Path(__file__).parents[2]
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (root / target).exists(), target
