"""The four ways through the suite in `examples/paths` run from their first line to their last."""

from __future__ import annotations

import importlib
import runpy
import shlex
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.__main__ import COMMANDS
from tests.support.runs import leave_blank, small
from tests.support.small_data import SmallData
from tools.documents import ROOT, code

PATHS = sorted((ROOT / "examples" / "paths").glob("*.sh"))
BRIEF = ["--updates", "20", "--episodes", "1", *small("gas", "bc-safe")]
"""What makes a run take a second."""


def lines(script: Path) -> list[list[str]]:
    """The words of each command of a script."""
    text = script.read_text(encoding="utf-8").replace("\\\n", " ")
    found = [shlex.split(line, comments=True) for line in text.splitlines()]
    return [words for words in found if words not in ([], ["set", "-e"])]


def do(words: list[str], small_data: SmallData) -> int:
    """Run a command of this project in this process; its exit status."""
    match words:
        case [".venv/bin/python", "-m", module, *rest]:
            main = importlib.import_module(module).main
        case [".venv/bin/osrl-bench", name, *rest]:
            module = f"benchmarks.{COMMANDS[name][0]}"
            main = importlib.import_module(module).main
        case [".venv/bin/python", script, *rest]:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sys, "argv", [script, *rest])
                runpy.run_path(script, run_name="__main__")
            return 0
        case other:
            pytest.fail(f"no test knows {other}")
    if module == "benchmarks.run" and "--dry-run" not in rest:
        rest = [str(small_data.folder) if word == "generated" else word for word in rest]
        rest += BRIEF
    return int(main(rest))


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the examples and the committed results."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for name in ("quickstart", "gas", "published"):
        shutil.copytree(ROOT / "results" / name, tmp_path / "results" / name)
    monkeypatch.chdir(tmp_path)
    leave_blank(monkeypatch)
    return tmp_path


@pytest.mark.usefixtures("workers_here")
@pytest.mark.parametrize("script", PATHS, ids=lambda path: path.stem)
def test_a_path_leads_to_its_end(
    script: Path, checkout: Path, small_data: SmallData, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in lines(script):
        assert do(words, small_data) == 0, words
    made = checkout / "results" / script.stem
    if script.stem == "reviewer":
        assert not made.exists()  # nothing is trained
        return
    table = pd.read_csv(made / "leaderboard.csv")
    expected = {"gas", "bc-safe"} | ({"top-bc"} if script.stem == "researcher" else set())
    assert set(table["algorithm"]) == expected
    assert table["reward"].notna().all()
    if script.stem == "engineer":
        assert "limit 50% on Reach" in capsys.readouterr().out
    else:
        latex = [path.read_text() for path in made.rglob("*.tex")]
        assert any("tabular" in text for text in latex)


def test_each_user_has_a_path() -> None:
    assert {path.stem for path in PATHS} == {"student", "researcher", "engineer", "reviewer"}


def test_the_example_method_is_that_of_the_document() -> None:
    page = (ROOT / "docs" / "add-a-method.md").read_text(encoding="utf-8")
    example = (ROOT / "examples" / "top_bc.py").read_text(encoding="utf-8")
    assert example.partition("\n\n")[2] == code(page, "python")[0]
