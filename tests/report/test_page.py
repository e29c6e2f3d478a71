"""The HTML report: nothing from outside, everything escaped, and it works in a browser."""

import html
import json
import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from benchmarks.report.appearance import COLOURS
from benchmarks.report.board import build
from benchmarks.report.render.page import page
from benchmarks.report.render.report import pictures
from benchmarks.report.render.sections import sections
from benchmarks.results.load import load_results
from tests.support.browser import SKIPPED, ask, browser
from tests.support.synthetic_store import Plan, write_store

pytestmark = pytest.mark.usefixtures("blank_pictures")

EVIL = "<img src=x onerror=document.title='pwned'>&\"'`"
TRACE = "Traceback:\n  </script><script>document.title='pwned'</script>\n\u2028 ValueError: <b>"
CHECKSUM = "0123456789abcdef" * 4
needs_browser = pytest.mark.skipif(browser() is None, reason=SKIPPED)


def rendered(plan, folder, kinds=("svg",)):
    """The page of a synthetic store."""
    found = load_results(write_store(plan, folder))
    board = build(
        *(
            found.episodes.assign(checksum=CHECKSUM),
            found.missing,
            f"A {EVIL} title",
            {"x": EVIL},
            found.details,
            [],
        )
    )
    parts = sections(board)
    names = {name for part in parts for name in part.pictures} if kinds else set()
    if not kinds:
        parts = [replace(part, pictures=()) for part in parts]
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
    assert all(source.startswith(("#", "data:image/png;base64,")) for source in sources)
    # summary, frontier, sweep, matrix, profiles, time, curves
    assert len(re.findall(r'<figure id="figure-\w+"><svg', text)) == 7
    ids = re.findall(r'\bid="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    assert {source[1:] for source in sources if source[0] == "#"} <= {*ids, "${section.id}"}


def data_of(text):
    """The data of a page's script, rows as objects."""
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    for name in ("results", "jobs"):
        columns = data[name]["columns"]
        data[name] = [dict(zip(columns, row, strict=True)) for row in data[name]["rows"]]
    return data


def test_names_and_tracebacks_are_escaped(small):
    text = small.read_text(encoding="utf-8")
    assert "<img src=x" not in text
    assert html.escape(EVIL) in text
    assert text.count("<script") == text.count("</script>") == 2
    data = data_of(text)
    assert {row["method"] for row in data["results"]} == {"plain", EVIL, "fails"}
    assert next(job for job in data["jobs"] if job["status"] == "failed")["traceback"] == TRACE


def test_what_trainings_share_is_stored_once(small):
    data = data_of(small.read_text(encoding="utf-8"))
    # of finished trainings, and none of failed ones
    assert len(data["facts"]["command"]) == len(data["facts"]["commit"]) == 2
    assert len(data["facts"]["config"]) == 2
    names = list(data["facts"])
    for job in data["jobs"]:
        config = data["facts"]["config"][job["facts"][names.index("config")]]
        assert ("note" in config) == (job["method"] == "plain")


def test_the_page_states_source_and_protocol_before_the_overall_table(small):
    text = small.read_text(encoding="utf-8")
    top = text[: text.index("<h2>")]
    assert "<h1>Offline safe reinforcement learning: 3 methods, 2 tasks, 2 cost limits</h1>" in top
    assert "Data source</dt><dd>dsrl" in top
    assert "Budget</dt><dd>paper" in top
    order = ['id="overall"', 'id="recommendation"', 'id="definitions"', "<nav>", 'id="averages"']
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    folded = text[text.index('<details id="definitions">') :]
    assert "Safe</dt><dd>mean normalised" in folded[: folded.index("</details>")]


def test_checksums_are_short_and_whole_in_a_tooltip(small):
    text = small.read_text(encoding="utf-8")
    shown = re.sub(r'<script.*?</script>|title="[^"]*"', "", text, flags=re.DOTALL)
    assert not re.search(r"[0-9a-f]{64}", shown)
    assert f'<abbr title="{CHECKSUM}">{CHECKSUM[:12]}…</abbr>' in text


def test_every_table_has_a_caption_and_headers_with_a_scope(small):
    text = small.read_text(encoding="utf-8")
    tables = re.findall(r"<table.*?</table>", text, re.DOTALL)
    assert len(tables) > 6
    for one in tables:
        assert re.search(r"<caption>[^<]+</caption>", one)
        assert not re.search(r"<th(?!ead)(?! scope=)", one)
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", one.split("<tbody>")[1], re.DOTALL):
            assert row.startswith('<th scope="row"')
    contents = re.search(r"<nav>(.*?)</nav>", text, re.DOTALL)[1]
    sections = re.findall(r'<section id="([^"]*)"', text)
    assert set(re.findall(r'href="#([^"]*)"', contents)) == set(sections) - {
        "overall",
        "recommendation",
    }


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """Of two colours, as the guidelines for accessible pages define it."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_text_and_figures_have_enough_contrast_on_light_and_dark_pages():
    css = (files("benchmarks.report.render") / "page.css").read_text()
    themes = [dict(re.findall(r"--(\w+): (#\w{6})", part)) for part in css.split("@media")[:2]]
    for theme in themes:
        for name in ("text", "muted", "unsafe", "link", "failed"):
            assert contrast(theme[name], theme["page"]) >= 4.5, name
        for colour in COLOURS:
            assert contrast(colour, theme["page"]) >= 3


def test_what_is_mixed_is_said_before_anything_else(tmp_path):
    plan = Plan(
        *(("one", "two"), {"BallRun": (80.0, 0.0, 100.0)}, (0.1,), (0,), 1, score),
        commits={"two": "f" * 40},
    )
    text = rendered(plan, tmp_path / "results" / "board", kinds=())
    said = "mixes commits: 0123456789ab (one) and ffffffffffff (two)"
    assert text.index("<h1>") < text.index(said) < text.index("<dl")


@needs_browser
def test_in_a_browser_it_sorts_filters_and_opens_without_an_error(small, tmp_path):
    answer = ask(
        small,
        """
        const all = (id) => [...document.querySelectorAll(`#${id} tbody tr`)];
        const rows = (id) => all(id).filter(r => !r.hidden);
        const column = (id, i) => rows(id).map(r => r.children[i].textContent);
        const head = (id, i) => document.querySelectorAll(`#${id} th[scope=col] button`)[i].click();
        const choose = (id, value) => { const s = document.getElementById('filter-' + id);
          s.value = value; s.dispatchEvent(new Event(id === 'text' ? 'input' : 'change')); };
        const first = () => document.querySelector('#jobs tr.job:not([hidden]) th button');
        answer.title = document.title;
        answer.all = rows('results').length;
        answer.jobs = rows('jobs').length;
        head('results', 3); answer.down = column('results', 3);
        head('results', 3); answer.up = column('results', 3);
        choose('task', 'CarRun'); answer.tasks = [...new Set(column('results', 1))];
        answer.count = document.getElementById('results-count').textContent;
        choose('task', '');
        choose('status', 'failed'); answer.failed = [...new Set(column('jobs', 0))];
        first().click();
        answer.detail = document.querySelector('#jobs tr.more').textContent;
        first().click();
        answer.closed = document.querySelectorAll('#jobs tr.more').length;
        choose('status', ''); choose('text', 'PLAIN');
        answer.found = [...new Set(column('jobs', 0))];
        first().click();
        answer.options = document.querySelector('#jobs tr.more').textContent;
        answer.curves = document.querySelectorAll('#jobs tr.more polyline').length;
        """,
        tmp_path,
    )
    assert answer["errors"] == []
    assert answer["title"].startswith(f"A {EVIL} title")
    assert (answer["all"], answer["jobs"]) == (12, 20)
    shown = [value for value in answer["down"] if value != "–"]
    assert shown == sorted(shown, key=float, reverse=True)  # the first click: best first
    assert len(shown) == 8
    assert answer["up"][-4:] == answer["down"][-4:] == ["–"] * 4  # missing: last either way
    assert [float(x) for x in answer["up"][:8]] == sorted(map(float, shown))
    assert answer["tasks"] == ["CarRun"]
    assert answer["count"] == "6 of 12 rows"
    assert answer["failed"] == ["fails"]
    assert TRACE.splitlines()[1] in answer["detail"]
    assert "planted" in answer["detail"]
    assert answer["closed"] == 0
    assert answer["found"] == ["plain"]
    for fact in ('"alpha":0.8', "torch", "python -m benchmarks.run --suite tight", "0123456789"):
        assert fact in answer["options"]
    assert answer["curves"] == 2


@needs_browser
def test_the_buttons_govern_every_table_and_the_figure(small, tmp_path):
    answer = ask(
        small,
        """
        const press = (kind, key) =>
          document.querySelector(`button[data-${kind}="${key}"]`).click();
        const shown = (query) => [...document.querySelectorAll(query)].filter(
          e => !e.hidden && !e.closest('[hidden]'));
        const texts = (query) => shown(query).map(e => e.textContent);
        const look = () => ({
          overall: texts('#overall td:nth-child(3)'),
          averages: [texts('#averages tr.over th').slice(1), texts('#averages tbody td').length],
          against: texts('#against tbody td'),
          recommended: texts('#recommendation tbody th'),
          tasks: shown('section[data-robot]').map(s => s.id),
          limits: [...new Set(texts('#results tbody td:nth-child(3)'))].sort(),
          where: [...new Set(texts('#results tbody td:nth-child(2)'))],
          trained: [...new Set(texts('#jobs tbody td:nth-child(4)'))].sort(),
          points: document.querySelectorAll('#chart path[fill^="#"]').length,
          drawn: document.getElementById('chart').innerHTML,
          pressed: texts('#choices button[aria-pressed=true]'),
        });
        answer.buttons = texts('#choices button');
        answer.all = look();
        press('limits', '10%'); answer.tight = look();
        press('robot', 'Car'); answer.car = look();
        press('limits', 'all'); press('robot', 'all'); answer.again = look();
        const old = URL.createObjectURL;
        let blob; URL.createObjectURL = (b) => { blob = b; return old(b); };
        document.querySelector('#averages .csv').click();
        answer.type = blob.type;
        answer.csv = csv(document.querySelector('#averages table'));
        """,
        tmp_path,
    )
    assert answer["errors"] == []
    assert answer["buttons"] == ["all", "10%", "20%", "all", "Ball", "Car"]
    every, tight, car = answer["all"], answer["tight"], answer["car"]
    assert answer["again"] == every
    assert every["limits"] == ["16 (20%)", "4 (10%)", "8 (10%)", "8 (20%)"]
    assert (tight["limits"], car["limits"]) == (["4 (10%)", "8 (10%)"], ["4 (10%)"])
    assert car["where"] == ["CarRun"]
    assert every["averages"][0] == ["10%", "20%"]
    assert tight["averages"] == [["10%"], 3 * 3]
    assert set(tight["recommended"]) == {"10%"}
    assert every["tasks"] == tight["tasks"] == ["section-ballrun", "section-carrun"]
    assert car["tasks"] == ["section-carrun"]
    assert car["trained"] == ["4 (10%)", "all limits"]
    assert car["pressed"] == ["10%", "Car"]
    assert [text.split("(")[1] for text in every["overall"][:2]] == ["4/4)", "4/4)"]
    assert [text.split("(")[1] for text in car["overall"][:2]] == ["1/1)", "1/1)"]
    assert every["against"] != car["against"]
    assert every["drawn"] != car["drawn"]
    assert every["points"] == car["points"] == 2
    assert answer["type"] == "text/csv"
    head, *lines = answer["csv"].splitlines()
    assert head == "method,10% reward,10% cost,10% safe,20% reward,20% cost,20% safe"
    assert {len(line.split(",")) for line in lines[1:]} == {7}


@needs_browser
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_cut_off_at_the_width_of_a_telephone_and_of_a_desk(small, tmp_path, width, dark):
    answer = ask(
        small,
        """
        const box = (e) => e.getBoundingClientRect();
        answer.inner = innerWidth;
        answer.width = document.documentElement.scrollWidth - innerWidth;
        answer.first = box(document.querySelector('#overall tbody td')).bottom;
        // what is wider than the page lies in a box that scrolls
        answer.beyond = [...document.querySelectorAll('body *')].filter(e => box(e).width > 0
          && box(e).right > innerWidth + 1 && !e.closest('.scroll, figure, .skip, caption'))
          .map(e => e.outerHTML.slice(0, 99));
        const tables = [...document.querySelectorAll('table')];
        answer.loose = tables.filter(t => !t.closest('.scroll')).length;
        const scroll = document.querySelector('#section-ballrun .scroll');
        scroll.scrollLeft = 9999;
        const name = scroll.querySelector('tbody th');
        answer.stuck = Math.abs(box(name).left - box(scroll).left);
        answer.page = getComputedStyle(document.body).backgroundColor;
        answer.names = getComputedStyle(name).backgroundColor;
        """,
        tmp_path,
        width,
        dark,
    )
    assert answer["errors"] == []
    assert answer["inner"] == width
    assert answer["beyond"] == []
    assert answer["width"] <= 0
    assert answer["loose"] == 0
    assert answer["first"] < 844  # the first number is on the first screen
    assert answer["stuck"] <= 1
    assert (
        answer["page"] == answer["names"] == ("rgb(21, 23, 27)" if dark else "rgb(255, 255, 255)")
    )


@needs_browser
def test_six_limits_fit_a_desk(tmp_path):
    """Of the committed leaderboard with most limits: every task's table shows all of them."""
    page = Path(__file__).parents[2] / "results" / "gas" / "leaderboard.html"
    answer = ask(
        page,
        """
        const boxes = [...document.querySelectorAll('section[data-robot] .scroll')];
        answer.limits = boxes[0].querySelectorAll('tr.over th[data-s]').length;
        answer.hidden = boxes.map(box => box.scrollWidth - box.clientWidth);
        """,
        tmp_path,
    )
    assert answer["errors"] == []
    assert answer["limits"] == 6
    assert set(answer["hidden"]) == {0}


@needs_browser
@pytest.mark.slow
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
