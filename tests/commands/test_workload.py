"""What a run says before it starts: what is kept, what is to do, how long, and whether it may."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.commands import running
from benchmarks.common.durations import duration_text
from benchmarks.run import main
from tests.support.runs import command

pytestmark = pytest.mark.usefixtures("workers_here", "blank_boards")
QUICK = ("--algorithms", "bc-all", "--workers", "1")


@pytest.fixture
def long(monkeypatch):
    """Every run takes longer than a day."""
    monkeypatch.setattr(running, "_LONG", 0.0)


@pytest.fixture
def terminal(monkeypatch):
    """Somebody sits at a terminal, and answers."""

    def answer(word):
        for stream in ("stdin", "stdout"):
            monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True, raising=False)
        monkeypatch.setattr("builtins.input", lambda question: word)

    return answer


def test_a_dry_run_tells_what_is_kept_method_by_method(small_data, tmp_path, capsys):
    assert main(command(small_data, tmp_path, *QUICK, tasks=("BallRun",))) == 0
    capsys.readouterr()
    both = command(small_data, tmp_path, "--algorithms", "bc-all", "bc-safe", tasks=("BallRun",))
    assert main([*both, "--dry-run"]) == 0
    out = capsys.readouterr().out
    kept, new = (next(x for x in out.splitlines() if name in x) for name in ("bc-all", "bc-safe"))
    assert "1 kept, 0 to do" in kept
    assert "0 kept, 3 to do" in new
    assert "4 jobs: 1 kept, 3 to do" in out


def test_a_long_run_is_not_started_where_nobody_can_be_asked(small_data, tmp_path, capsys, long):
    words = command(small_data, tmp_path / "results", *QUICK, tasks=("BallRun",))
    assert main(words) == 2
    assert "--yes" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()
    assert main([*words, "--dry-run"]) == 0
    assert main([*words, "--yes"]) == 0
    assert (tmp_path / "results" / "tight" / "leaderboard.md").is_file()


@pytest.mark.parametrize(("word", "status"), [("y", 0), ("", 2), ("no", 2)])
def test_a_user_at_a_terminal_is_asked(small_data, tmp_path, long, terminal, word, status):
    terminal(word)
    assert main(command(small_data, tmp_path, *QUICK, tasks=("BallRun",))) == status


@pytest.mark.parametrize(
    ("words", "budget"),
    [
        (["--tasks", "BallRun", "--algorithms", "bc-all", "--seeds", "0"], "paper"),
        (["--algorithms", "gas", "cdt", "--workers", "2"], "standard"),
        (["--algorithms", "gas", "cdt", "--workers", "1", "--seeds", "0-60"], "quick"),
    ],
)
def test_with_a_gpu_the_budget_is_the_longest_that_fits_a_day(
    words, budget, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(running, "devices", lambda device: ["cuda:0"])
    base = ["--suite", "tight", "--data", "generated", "--device", "cpu", "--dry-run"]
    assert main([*base, *words, "--results", str(tmp_path)]) == 0
    assert f"budget: {budget}," in capsys.readouterr().out


@given(st.floats(0.0, 1e8))
def test_durations_keep_two_digits_or_more(seconds):
    number, unit = duration_text(seconds).split()
    size = {"s": 1.0, "min": 60.0, "h": 3_600.0, "days": 86_400.0}[unit]
    step = 1.0 if unit in ("s", "min") else 0.1
    assert abs(float(number) * size - seconds) <= 0.51 * step * size
    assert len(number.replace(".", "")) >= 2
    assert float(number) >= 2 or unit == "s"
