"""The commands as one program: help without slow imports, lists, mistakes, completion."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as program
from benchmarks.commands import lists
from benchmarks.commands.options import Parser
from benchmarks.common.errors import UserError
from benchmarks.run import configure, parser
from benchmarks.run import main as run

SLOW = ("torch", "pandas", "matplotlib", "numpy", "h5py", "scipy", "tqdm", "argcomplete")
PROBE = f"""
import runpy, sys
from benchmarks.common import program
program.end = sys.exit
module, *sys.argv[1:] = sys.argv[1:]
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
except SystemExit as end:
    assert not end.code, end.code
found = [name for name in {SLOW} if name in sys.modules]
assert not found, found
"""
MODULES = [
    *("run", "evaluate", "leaderboard", "data", "speed", "list_methods", "list_tasks", "check"),
]


def probe(module: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROBE, module, *words], capture_output=True, text=True
    )


@pytest.mark.parametrize("name", MODULES)
def test_help_of_a_module_imports_nothing_slow_and_shows_an_example(name: str) -> None:
    done = probe(f"benchmarks.{name}", "--help")
    assert done.returncode == 0, done.stderr
    assert f"examples:\n  python -m benchmarks.{name}" in done.stdout


@pytest.mark.parametrize("name", program.COMMANDS)
def test_help_of_a_subcommand_is_that_of_its_module(name: str) -> None:
    done = probe("benchmarks", name, "--help")
    assert done.returncode == 0, done.stderr
    assert f"usage: python -m benchmarks {name}" in done.stdout
    assert f"examples:\n  python -m benchmarks {name}" in done.stdout


@pytest.mark.parametrize("words", [["--help"], ["--version"], []], ids=str)
def test_the_program_by_itself_imports_nothing_slow(words: list[str]) -> None:
    done = probe("benchmarks", *words)
    assert done.returncode == 0, done.stderr
    assert "osrl-bench 0." in done.stdout or "commands:" in done.stdout


def refused(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert said in error


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rnu"], "unknown command 'rnu': did you mean run?"),
        (["--verson"], "unknown option '--verson': did you mean --version?"),
        (["run", "--sees", "1"], "unknown option '--sees': did you mean --seeds?"),
        (["run", "extra"], "unrecognized arguments: extra (osrl-bench run --help"),
        (["run", "--seeds"], "argument --seeds: expected at least one argument"),
        (["run", "--seeds", "-1"], "--seeds -1: a seed is a whole number from 0 to 4294967295"),
        (["run", "--seeds", str(2**70)], f"--seeds {2**70}: a seed is a whole number"),
        (["run", "--seeds", "one"], "--seeds 'one' is no whole number and no range such as 0-4"),
        (["run", "--seeds", "4-0"], "--seeds '4-0' runs backwards: write 0-4"),
        (["run", "--seeds", "0-99999999"], "holds more than 10000 numbers"),
        (["run", "--seeds", ","], "--seeds is given no value"),
        (["run", "--episodes", "ten"], "argument --episodes: invalid int value: 'ten'"),
        (["evaluate", "somewhere"], "the following arguments are required: --limits"),
        (["data", "ftech"], "invalid choice: 'ftech'"),
        (["speed", "stack", "--stack-sizes", "0"], "--stack-sizes must be positive"),
        (["speed", "schedule", "--jobs", "0"], "--jobs must be positive"),
        (["leaderboard", "--format", "pdf"], "unknown format 'pdf'"),
        (["methods", "gsa"], "unknown algorithm 'gsa': did you mean gas?"),
        (["tasks", "BalRun"], "unknown task 'BalRun': did you mean BallRun?"),
        (["check", "nowhere.py:Method"], "file nowhere.py does not exist"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(words, said, capsys)


def test_a_budget_that_no_method_has_is_refused_before_data_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OSRL_BENCH_CACHE", str(tmp_path / "cache"))
    words = ["run", "--suite", "tight", "--data", "generated", "--results", str(tmp_path / "r")]
    refused([*words, "--budget", "tiny"], "unknown budget of gas 'tiny'", capsys)
    refused([*words, "--option", "gas.cost_relabelling=x"], "unknown gas.cost_relabelling", capsys)
    assert list(tmp_path.iterdir()) == []


# Lists


def test_lists_take_spaces_commas_and_ranges() -> None:
    config = configure(
        ["--seeds", "0-2,7", "9", "--tasks", "BallRun,CarRun", "AntRun", "--suite", "tight,loose"]
    )
    assert config.seeds == (0, 1, 2, 7, 9)
    assert config.tasks == ("BallRun", "CarRun", "AntRun")
    assert config.suites == ("tight", "loose")
    assert configure(["--suite", "tight", "--suite", "loose"]).suites == ("tight", "loose")
    assert configure(["--limits", "5%,25", "30%"]).limits == ("5%", "25", "30%")


@pytest.mark.parametrize(
    ("word", "methods"),
    [
        ("gas,cdt", ["gas", "cdt"]),
        ("gas@alpha=0.9,mask=false", ["gas@alpha=0.9,mask=false"]),
        ("gas@alpha=0.9,mask=false,cdt", ["gas@alpha=0.9,mask=false", "cdt"]),
        ("cdt,gas@alpha=0.9,cpq@tau=1", ["cdt", "gas@alpha=0.9", "cpq@tau=1"]),
        ("a.py:A@x=1,y=2,b.py:B", ["a.py:A@x=1,y=2", "b.py:B"]),
        ("gas,", ["gas"]),
    ],
)
def test_commas_separate_methods_but_not_the_options_of_a_variant(
    word: str, methods: list[str]
) -> None:
    assert lists.methods(word, "--algorithms") == methods


def test_a_file_whose_name_holds_a_comma_is_one(tmp_path: Path) -> None:
    task, plugin = tmp_path / "a,b.toml", tmp_path / "c,d.py"
    task.touch()
    plugin.touch()
    assert lists.names(str(task), "--tasks") == [str(task)]
    assert lists.methods(f"{plugin}:Method", "--algorithms") == [f"{plugin}:Method"]


def test_the_old_spelling_of_seeds_per_job_still_works_and_is_not_shown() -> None:
    assert configure(["--together", "3"]).engine.seeds_per_job == 3
    assert configure(["--seeds-per-job", "3"]) == configure(["--together", "3"])
    assert "--together" not in parser().format_help()


def test_only_what_is_given_is_told_apart_from_defaults() -> None:
    assert parser().given([]) == {}
    assert parser().given(["--no-cuda-graphs", "--workers", "2"]) == {
        "cuda_graphs": False,
        "workers": 2,
    }


def test_flags_are_set_and_taken_back() -> None:
    made = Parser()
    made.add_argument("--no-value-needed", action="store_true")
    with pytest.raises(UserError, match="did you mean --no-value-needed"):
        made.parse_args(["--no-value-neded"])


# Completion


def completions(line: str, tmp_path: Path) -> list[str]:
    """What the shell would offer at the end of `line`."""
    out = tmp_path / "completions"
    environment = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(out),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    code = "from benchmarks.__main__ import main; main([])"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    return [word.strip() for word in out.read_text().split("\n")]


def test_the_shell_completes_commands_options_and_names(tmp_path: Path) -> None:
    assert completions("osrl-bench lea", tmp_path) == ["leaderboard"]
    assert completions("osrl-bench run --see", tmp_path) == ["--seeds", "--seeds-per-job"]
    assert completions("osrl-bench run --tasks BallR", tmp_path) == ["BallRun"]
    assert "gas-shield" in completions("osrl-bench run --algorithms gas", tmp_path)
    assert completions("osrl-bench data gen", tmp_path) == ["generate"]


def test_nothing_to_evaluate_is_said_by_the_program_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run([]) == 2
    assert "give --suite" in capsys.readouterr().err
