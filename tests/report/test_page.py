"""The HTML report: nothing from outside, everything escaped, and it works in a browser."""

import html
import json
import re

import pytest

from benchmarks.report.board import build
from benchmarks.report.render.page import page
from benchmarks.report.render.report import pictures
from benchmarks.report.render.sections import sections
from benchmarks.results.load import load_results
from tests.support.browser import SKIPPED, ask, browser
from tests.support.synthetic_store import Plan, write_store

EVIL = "<img src=x onerror=document.title='pwned'>&\"'`"
TRACE = "Traceback:\n  </script><script>document.title='pwned'</script>\n\u2028 ValueError: <b>"
needs_browser = pytest.mark.skipif(browser() is None, reason=SKIPPED)


def rendered(plan, folder, kinds=("svg",)):
    """The page of a synthetic store."""
    found = load_results(write_store(plan, folder))
    board = build(
        *(found.episodes, found.missing, f"A {EVIL} title", {"x": EVIL}, found.details, [])
    )
    parts = sections(board)
    names = {name for part in parts for name in part.pictures} if kinds else set()
    if not kinds:
        parts = [
            type(part)(part.title, part.text, part.table, part.words, part.note) for part in parts
        ]
    return page(board, parts, pictures(board, names, kinds))


def score(method, task, limit, seed, episode):
    return float(10 * len(method) + seed), float(limit * (0.5 + seed))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    plan = Plan(
        ("plain", EVIL, "fails"),
        {"BallRun": (80.0, 0.0, 100.0), "CarRun": (40.0, 0.0, 90.0)},
        *((0.1, 0.2), (0, 1), 2, score),
        one_for_all=("plain",),
        failed={("fails", task, seed): TRACE for task in ("BallRun", "CarRun") for seed in (0, 1)},
        config={"plain": {"alpha": 0.8, "note": EVIL}},
    )
    folder = tmp_path_factory.mktemp("page")
    path = folder / "leaderboard.html"
    path.write_text(rendered(plan, folder / "results" / "board"), encoding="utf-8")
    return path


def test_the_page_takes_nothing_from_outside(small):
    text = small.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert "default-src 'none'" in text
    assert not re.search(r"<(?:link|iframe|object|embed|base)\b", text)
    sources = re.findall(r'\b(?:src|href|action)="([^"]*)"', text)
    assert len(sources) == 5  # frontier, sweep, matrix, profiles, curves
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)


def test_names_and_tracebacks_are_escaped(small):
    text = small.read_text(encoding="utf-8")
    assert "<img src=x" not in text
    assert html.escape(EVIL) in text
    assert text.count("<script") == text.count("</script>") == 2
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert {row["method"] for row in data["results"]} == {"plain", EVIL, "fails"}
    assert next(job for job in data["jobs"] if job["status"] == "failed")["traceback"] == TRACE


def test_the_page_states_source_and_protocol_at_the_top(small):
    text = small.read_text(encoding="utf-8")
    top = text[: text.index("<h2>")]
    for fact in (
        "Data source</dt><dd>dsrl",
        "Budget</dt><dd>paper",
        "Safe</dt><dd>mean normalised",
    ):
        assert fact in top


def test_what_is_mixed_is_said_before_anything_else(tmp_path):
    plan = Plan(
        *(("one", "two"), {"BallRun": (80.0, 0.0, 100.0)}, (0.1,), (0,), 1, score),
        commits={"two": "f" * 40},
    )
    text = rendered(plan, tmp_path / "results" / "board", kinds=())
    said = "mixes commits: 0123456789ab (one) and ffffffffffff (two)"
    assert text.index("<h1>") < text.index(said) < text.index("<dl>")


@needs_browser
def test_in_a_browser_it_sorts_filters_and_opens_without_an_error(small, tmp_path):
    answer = ask(
        small,
        """
        const all = (id) => [...document.querySelectorAll(`#${id} tbody tr`)];
        const rows = (id) => all(id).filter(r => !r.hidden);
        const column = (id, i) => rows(id).map(r => r.children[i].textContent);
        const head = (id, i) => document.querySelectorAll(`#${id} th button`)[i].click();
        const choose = (id, value) => { const s = document.getElementById('filter-' + id);
          s.value = value; s.dispatchEvent(new Event(id === 'text' ? 'input' : 'change')); };
        answer.title = document.title;
        answer.all = rows('results').length;
        answer.jobs = rows('jobs').length;
        head('results', 4); answer.up = column('results', 4);
        head('results', 4); answer.down = column('results', 4);
        choose('task', 'CarRun'); answer.tasks = [...new Set(column('results', 1))];
        answer.limits = [...new Set(column('results', 2))];
        choose('limit', '8'); answer.one = column('results', 2);
        answer.trained = [...new Set(column('jobs', 3))].sort();
        answer.count = document.getElementById('results-count').textContent;
        choose('task', ''); choose('limit', '');
        choose('status', 'failed'); answer.failed = [...new Set(column('jobs', 0))];
        document.querySelector('#jobs tr.job:not([hidden])').click();
        answer.detail = document.querySelector('#jobs tr.more').textContent;
        document.querySelector('#jobs tr.job:not([hidden])').click();
        answer.closed = document.querySelectorAll('#jobs tr.more').length;
        choose('status', ''); choose('text', 'PLAIN');
        answer.found = [...new Set(column('jobs', 0))];
        document.querySelector('#jobs tr.job:not([hidden])').click();
        answer.options = document.querySelector('#jobs tr.more').textContent;
        answer.curves = document.querySelectorAll('#jobs tr.more polyline').length;
        answer.images = [...document.images].every(i => i.complete && i.naturalWidth > 100);
        answer.width = document.documentElement.scrollWidth - innerWidth;
        """,
        tmp_path,
    )
    assert answer["errors"] == []
    assert answer["title"] == f"A {EVIL} title"
    assert (answer["all"], answer["jobs"]) == (12, 20)
    shown = [value for value in answer["up"] if value != "–"]
    assert shown == sorted(shown, key=float)
    assert len(shown) == 8
    assert answer["up"][-4:] == answer["down"][-4:] == ["–"] * 4  # missing: last either way
    assert [float(x) for x in answer["down"][:8]] == sorted(map(float, shown), reverse=True)
    assert answer["tasks"] == ["CarRun"]
    assert set(answer["limits"]) == {"4", "8"}
    assert set(answer["one"]) == {"8"}
    assert answer["trained"] == ["8", "all limits"]
    assert answer["count"] == "3 of 12 rows"
    assert answer["failed"] == ["fails"]
    assert TRACE.splitlines()[1] in answer["detail"]
    assert "planted" in answer["detail"]
    assert answer["closed"] == 0
    assert answer["found"] == ["plain"]
    for fact in ('"alpha":0.8', "torch", "python -m benchmarks.run --suite tight", "0123456789"):
        assert fact in answer["options"]
    assert answer["curves"] == 2
    assert answer["images"]
    assert answer["width"] <= 0


@needs_browser
def test_a_thousand_jobs_load(tmp_path):
    tasks = {f"Task{i:02}": (80.0, 0.0, 100.0) for i in range(10)}
    plan = Plan(
        *(tuple("abcdefghij"), tasks, (0.1, 0.2), range(5), 1, score),
        failed={("a", "Task00", 0): TRACE},
    )
    path = tmp_path / "leaderboard.html"
    path.write_text(rendered(plan, tmp_path / "results" / "board", kinds=()), encoding="utf-8")
    script = "answer.jobs = document.querySelectorAll('#jobs tr.job').length;"
    answer = ask(path, script, tmp_path)
    assert answer["jobs"] == 1000
    assert answer["errors"] == []
