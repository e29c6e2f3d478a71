"""Protocols: files of options that are shared, overridden, and written back."""

from __future__ import annotations

import re
import shlex
import shutil
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.commands import protocol
from benchmarks.commands.config import RunConfig
from benchmarks.common.errors import UserError
from benchmarks.leaderboard import main as leaderboard
from benchmarks.run import configure, main, parser
from tests.support.small_data import SmallData

WHOLE = """
suite = ["tight", "loose"]
tasks = ["BallRun", "mine/reach.toml"]
algorithms = ["gas", "gas@alpha=0.9,mask=false", "mine/method.py:Mine"]
budget = "quick"
data = "files"
seeds = [0, 3]
episodes = 4
option = ["gas.batch=64"]
cuda-graphs = true
checkpoint-seconds = 2.5
"""


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "protocol.toml"
    path.write_text(text)
    return str(path)


def test_a_protocol_is_what_its_options_are_on_the_command_line(tmp_path: Path) -> None:
    there = str(tmp_path)
    words = [
        *("--suite", "tight", "loose", "--tasks", "BallRun", f"{there}/mine/reach.toml"),
        *("--algorithms", "gas", "gas@alpha=0.9,mask=false", f"{there}/mine/method.py:Mine"),
        *("--budget", "quick", "--data", f"{there}/files", "--seeds", "0", "3"),
        *("--episodes", "4", "--option", "gas.batch=64", "--cuda-graphs"),
        *("--checkpoint-seconds", "2.5"),
    ]
    assert configure(["--config", write(tmp_path, WHOLE)]) == configure(words)


def test_the_command_line_overrides_a_protocol(tmp_path: Path) -> None:
    file = write(tmp_path, WHOLE)
    config = configure(
        ["--config", file, "--suite", "zero-shot", "--no-cuda-graphs", "--seeds", "1"]
    )
    assert config.suites == ("zero-shot",)
    assert config.seeds == (1,)
    assert not config.cuda_graphs
    assert config.episodes == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sees = [0]", "unknown option 'sees': did you mean seeds?"),
        ("together = 3", "unknown option 'together'"),
        ("config = 'x'", "unknown option 'config'"),
        ("seeds = [-1]", "--seeds -1: a seed is a whole number"),
        ("seeds = []", "the list is empty: leave the key out"),
        ("episodes = 'ten'", "argument --episodes: invalid int value: 'ten'"),
        ("episodes = [1]", "episodes = [1]: give one value, not a list"),
        ("cuda-graphs = 1", "cuda-graphs = 1: give true or false"),
        ("budget = true", "budget = True: give text or a number"),
        ("tasks = ['--dry-run']", "no value may start with a dash"),
        ("stage = 'evalute'", "invalid choice: 'evalute'"),
        ("seeds = [0", "cannot be read"),
        ("[suite]\nname = 1", "give text or a number, or a list of such"),
    ],
)
def test_what_is_wrong_in_a_protocol_is_one_line_that_names_the_file(
    text: str, said: str, tmp_path: Path
) -> None:
    file = write(tmp_path, text)
    with pytest.raises(UserError) as raised:
        configure(["--config", file])
    assert str(raised.value).startswith(f"--config {file}: ")
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_protocol_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--config .*nowhere\.toml: cannot be read"):
        configure(["--config", str(tmp_path / "nowhere.toml")])


texts = st.text(max_size=8).filter(lambda text: "\0" not in text)
values = st.dictionaries(
    st.sampled_from(["name", "budget", "wandb"]), texts.filter(lambda t: not t.startswith("-"))
) | st.fixed_dictionaries(
    {
        "seeds": st.lists(st.integers(0, 2**32 - 1), min_size=1).map(tuple),
        "checkpoint-seconds": st.floats(0.0, 1e9),
        "cuda-graphs": st.booleans(),
    }
)


@settings(
    deadline=None,
    derandomize=True,
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(values)
def test_what_is_written_is_read(tmp_path: Path, values: dict[str, protocol.Value]) -> None:
    path = tmp_path / "protocol.toml"
    try:
        protocol.write(path, values)
    except UserError:  # text that no file can hold
        assert any("\ud800" <= char <= "\udfff" for char in str(values))
        return
    assert tomllib.loads(path.read_text()) == {
        key: list(value) if isinstance(value, tuple) else value for key, value in values.items()
    }
    expected = {key.replace("-", "_"): value for key, value in values.items()}
    assert protocol.read(path, parser()) == expected


def test_options_of_methods_that_the_command_line_leaves_out_are_left_out(
    tmp_path: Path,
) -> None:
    both = (
        'suite = ["tight"]\nalgorithms = ["gas", "cdt"]\noption = ["gas.batch=64", "cdt.batch=32"]'
    )
    file = write(tmp_path, both)

    def options(*words: str) -> tuple[str, ...]:
        return configure(["--config", file, *words]).options

    assert options() == ("gas.batch=64", "cdt.batch=32")
    assert options("--algorithms", "cdt@seq_len=1") == ("cdt.batch=32",)
    assert options("--algorithms", "fisor") == ()
    assert options("--algorithms", "all") == ("gas.batch=64", "cdt.batch=32")
    assert options("--algorithms", "cdt", "--option", "gas.batch=1") == ("gas.batch=1",)


def run_words(small: SmallData, results: Path, *more: str) -> list[str]:
    return [
        *("--limits", "10%,20%", "--tasks", "BallRun", "--data", str(small.folder)),
        *("--algorithms", "bc-all@hidden=16,batch=8,bc-safe", "--budget", "quick"),
        *("--updates", "2", "--episodes", "1", "--device", "cpu"),
        *("--results", str(results), *more),
    ]


def test_a_saved_protocol_plans_the_same(
    small_data: SmallData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "shared" / "protocol.toml"
    file.parent.mkdir()
    words = run_words(small_data, tmp_path / "results", "--dry-run")
    assert main([*words, "--save-config", str(file)]) == 0
    planned = capsys.readouterr().out
    content = tomllib.loads(file.read_text())
    assert content["limits"] == ["10%", "20%"]
    assert content["algorithms"] == ["bc-all@hidden=16,batch=8", "bc-safe"]
    assert content["seeds"] == [0]
    assert "results" not in content
    assert "device" not in content
    assert (file.parent / content["data"]).resolve() == small_data.folder.resolve()
    assert main(["--config", str(file), "--dry-run", "--device", "cpu"]) == 0
    assert capsys.readouterr().out == planned.replace(f"protocol: {file}\n", "")
    first = configure(["--config", str(file)])
    assert isinstance(first, RunConfig)
    assert first.episodes == 1


@pytest.mark.usefixtures("workers_here", "blank_boards")
def test_the_commands_under_a_table_repeat_one_row_and_all(
    small_data: SmallData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    results = tmp_path / "results"
    assert main(run_words(small_data, results, "--name", "first")) == 0
    text = (results / "first" / "leaderboard.md").read_text()
    commands = re.findall(r"^python -m benchmarks\.(run|leaderboard) (.*)$", text, re.M)
    assert [command for command, _ in commands] == ["run", "leaderboard"] * 2
    assert "--tasks BallRun --algorithms bc-" in commands[2][1]
    rows, trained = list[str](), list[int]()
    for command, words in commands:
        capsys.readouterr()
        more = ["--device", "cpu"] if command == "run" else []
        assert {"run": main, "leaderboard": leaderboard}[command](shlex.split(words) + more) == 0
        if command == "leaderboard":
            rows.append(capsys.readouterr().out)
            new = tmp_path / "my-results"
            trained.append(len(list((new / "runs").glob("*/training.json"))))
            shutil.rmtree(new)
    assert trained == [3, 2]  # bc-all serves both limits
    assert all("Every run that both have is the same." in row for row in rows)
    assert re.findall(r"^\| (bc-\w+)\S* \| 2 \| 0 \|", rows[0], re.M) == ["bc-all", "bc-safe"]
    assert re.findall(r"^\| (bc-\w+)\S* \| 2 \| 0 \|", rows[1], re.M) == ["bc-safe"]


def test_auto_is_saved_as_what_it_stands_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSRL_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DSRL_DATASET_DIR", str(tmp_path / "none"))
    file = tmp_path / "protocol.toml"
    words = ["--suite", "tight", "--dry-run", "--device", "cpu", "--save-config", str(file)]
    assert main(words) == 0
    content = tomllib.loads(file.read_text())
    assert (content["budget"], content["data"]) == ("quick", "generated")


def test_a_protocol_that_cannot_be_written_is_refused_before_any_work(
    small_data: SmallData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = run_words(small_data, tmp_path / "results")
    assert main([*words, "--save-config", str(tmp_path / "no" / "protocol.toml")]) == 2
    error = capsys.readouterr().err
    assert "--save-config" in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
