"""The command that tells which methods to use at a cost limit."""

import pytest

from benchmarks.recommend import main
from tests.support.known_store import make


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make(tmp_path_factory.mktemp("recommend"))


def test_safe_methods_come_first_and_the_others_follow(folder, capsys):
    assert main([str(folder), "--limit", "10%", "--confidence", "0.8"]) == 0
    use, _, below = capsys.readouterr().out.partition("Below p")
    assert "calm" in use
    assert "rash" not in use
    assert "rash" in below
    assert "broken" in below


def test_an_absolute_limit_means_the_tasks_that_have_it(folder, capsys):
    assert main([str(folder), "--limit", "8"]) == 0  # 10 % of BallRun's maximum, 20 % of CarRun's
    assert "2 tasks (BallRun, CarRun)" in capsys.readouterr().out
    assert main([str(folder), "--limit", "16"]) == 0
    assert "on BallRun" in capsys.readouterr().out


def test_none_is_said_where_none_is_good_enough(folder, capsys):
    assert main([str(folder), "--limit", "20%", "--confidence", "0.999999"]) == 0
    assert "Use none" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (["--limit", "15%"], ["15%", "10%, 20%"]),
        (["--limit", "much"], ["'much'", "5%"]),
        (["--limit", "10%", "--task", "BallRum"], ["BallRum", "BallRun"]),
        (["--limit", "10%", "--confidence", "90"], ["--confidence 90", "between 0 and 1"]),
    ],
)
def test_mistakes_get_one_line(folder, capsys, words, facts):
    assert main([str(folder), *words]) == 2
    out, error = capsys.readouterr()
    assert not out
    assert len(error.splitlines()) == 1
    assert all(fact in error for fact in facts), error
