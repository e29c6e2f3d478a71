"""Command lines of anything: status 2 and one line, or a valid plan."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.methods.names import BUILT_IN
from benchmarks.run import main
from tests.support.small_data import SmallData

ODD = st.one_of(
    st.sampled_from(
        [
            *("", " ", "0", "-1", "1", "2", "0.5", "1e999", "nan", "-inf", "1e-400", "0x10", "١"),
            *("1_000", "5%", "%", "-0%", "1e300", "9" * 400, "none", "None", "true", "all", "auto"),
            *("~", "~nobody/x", "/", ".", "..", "a/b", "x.toml", "x.py:X", "x.py", "{}", "[]"),
            *("gas", "gas@", "gas@alpha=0.9", "gas@alpha=", "gas@alpha=80", "@", "cdt,gas", ","),
            *("BallRun", "ballrun", "BallRun,CarRun", "tight", "quick", "cpu", "cuda:9", "local"),
            *("gas.alpha=0.9", "gas.alpha=nan", "gas.batch=1e3", "gas.=1", ".alpha=1", "a=b=c"),
            *("0-4", "4-0", "0-", "0-99999999", "ä", "\udcff", "\u202e", "a" * 300, "--", "-x"),
        ]
    ),
    st.text(max_size=8).filter(lambda text: "\0" not in text),
    st.integers().map(str),
    st.floats().map(str),
)
OPTIONS = st.sampled_from(
    [
        *("--suite", "--limits", "--tasks", "--algorithms", "--budget", "--data", "--seeds"),
        *("--episodes", "--option", "--updates", "--config", "--results", "--name", "--stage"),
        *("--checkpoint-seconds", "--engine", "--device", "--workers", "--timeout", "--address"),
        *("--gpu-share", "--slurm", "--seeds-per-job", "--together", "--mirror", "--wandb"),
        *("--evaluate-every", "--cuda-graphs", "--offline", "--tensorboard", "--skip-missing"),
    ]
)
ANY = st.lists(st.tuples(OPTIONS, st.lists(ODD, max_size=2)), max_size=3)
OF_METHODS = st.lists(
    st.tuples(st.sampled_from(sorted(BUILT_IN)), st.text("abcdefghilmnoprstuwz_", max_size=9), ODD),
    min_size=1,
    max_size=2,
).map(lambda given: [("--option", [f"{name}.{option}={value}"]) for name, option, value in given])
FUZZ = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)


def check(small: SmallData, folder: Path, given: list[tuple[str, list[str]]]) -> None:
    """The law, for a plan on small data with these options as well."""
    words = ["--tasks", "BallRun", "--data", str(small.folder), "--limits", "20%", "--offline"]
    words += ["--algorithms", "bc-all", "--device", "cpu", "--results", str(folder / "results")]
    words += [word for option, values in given for word in (option, *values)] + ["--dry-run"]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(words)
    said = err.getvalue()
    assert not (folder / "results").exists()
    if status == 0:
        assert "trainings" in out.getvalue()
        return
    assert status == 2, said
    line = said.splitlines()[-1] if said else ""
    assert line.startswith("error: "), said
    assert said.count("\n") == 1, said


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is found or left where the tests run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OSRL_BENCH_CACHE", str(tmp_path / "cache"))


@settings(FUZZ, max_examples=60)
@given(st.one_of(ANY, OF_METHODS))
def test_any_words(small_data: SmallData, tmp_path: Path, given) -> None:
    check(small_data, tmp_path, given)


@pytest.mark.slow
@settings(FUZZ, max_examples=10_000)
@given(st.one_of(ANY, OF_METHODS))
def test_any_words_at_length(small_data: SmallData, tmp_path: Path, given) -> None:
    check(small_data, tmp_path, given)
