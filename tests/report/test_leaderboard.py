"""The leaderboard's report: what is refused, what is shown, which files are written."""

import gzip
import math
import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from matplotlib.markers import CARETDOWNBASE, CARETRIGHTBASE, CARETUPBASE

from benchmarks.common.errors import UserError
from benchmarks.report.appearance import looks_of
from benchmarks.report.frame import validate, validate_missing
from benchmarks.report.plots.plots import frontier
from benchmarks.report.render import report
from benchmarks.report.render.markup import Entry, ascii_name, entry, escape
from benchmarks.report.render.tables import lost_table, task_table
from benchmarks.report.wording import cost_text, number, signed
from benchmarks.results import leaderboard
from benchmarks.results.files import read_episodes, read_missing
from tests.support.leaderboard_cases import (
    NAN,
    episodes_of,
    lost,
    missing_of,
    run,
    table_of,
    two_methods,
    two_methods_lost,
)


@pytest.fixture(scope="module")
def frame():
    return two_methods()


@pytest.fixture(scope="module")
def missing():
    return two_methods_lost()


@pytest.fixture(scope="module")
def folder(frame, missing, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "new"
    written = leaderboard.write(
        frame, missing, folder, "A | title", {"Data source": "seed 7", "x": "y"}
    )
    assert set(written) == {path for path in folder.rglob("*") if path.is_file()}
    return folder


def test_csv_holds_every_figure_as_computed_by_hand(folder):
    table = pd.read_csv(folder / "leaderboard.csv")
    assert list(table.columns) == [
        *("algorithm", "task", "limit", "fraction", "reward", "reward_std", "cost", "cost_std"),
        *("safe", "seeds", "episodes", "mean_return", "mean_cost", "status"),
    ]
    half = math.sqrt(0.5)  # standard deviation of two numbers 1 apart
    expected = [
        ("Alpha", "BallRun", 0, 0.35, 0.1 * half, 1, 0, True, 2, 2, 35, 0, "finished"),
        ("Alpha", "BallRun", 10, 0.7, 0.2 * half, 0.8, 0.4 * half, True, 2, 3, 70, 8, "finished"),
        ("Alpha", "AntRun", 20, 0.55, 0.1 * half, 2, 1 * half, False, 2, 2, 60, 40, "finished"),
        ("Beta", "BallRun", 0, NAN, NAN, NAN, NAN, NAN, 0, 0, NAN, NAN, "failed"),
        ("Beta", "BallRun", 10, 0.9, NAN, 1, NAN, True, 1, 1, 90, 10, "partial"),
        ("Beta", "AntRun", 20, 1, NAN, 4, NAN, False, 1, 1, 150, 80, "finished"),
    ]
    assert table.pop("fraction").isna().all()
    assert len(table) == len(expected)
    for row, truth in zip(table.itertuples(index=False), expected, strict=True):
        for value, true in zip(row, truth, strict=True):
            if isinstance(true, str | bool):
                assert value == true
            else:
                assert value == pytest.approx(true, abs=1e-12, nan_ok=True)


# --- what is refused ---


BAD = {
    "lack": lambda f: f.drop(columns="checksum"),
    "'limit' of the episodes holds nan in row 0": lambda f: f.assign(limit=NAN),
    "'algorithm'": lambda f: f.assign(algorithm=None),
    "'episode_return' of the episodes holds inf": lambda f: f.assign(episode_return=np.inf),
    "'episode_cost' of the episodes holds 'much'": lambda f: f.assign(episode_cost="much"),
    "'seed' of the episodes holds 0.5": lambda f: f.assign(seed=0.5),
    "occurs twice": lambda f: pd.concat([f, f]),
    r"'dsrl' \(Beta\) and 'generated' \(Alpha\)": lambda f: f.assign(
        source=f["algorithm"].map({"Alpha": "generated", "Beta": "dsrl"})
    ),
    r"'BallRun' mixes 2 values of checksum: 'new' \(Beta\) and 'old' \(Alpha\)": lambda f: f.assign(
        checksum=f["algorithm"].map({"Alpha": "old", "Beta": "new"})
    )[f["task"] == "BallRun"],
    "'Alpha' on 'AntRun' mixes 2 values of budget": lambda f: f.assign(
        budget=["full" if seed else "quick" for seed in f["seed"]]
    ),
    "'AntRun' mixes 2 values of max_return": lambda f: f.assign(max_return=1000.0 + f["seed"]),
    "not above min_return": lambda f: f.assign(max_return=-50.0),
    "limit -1 of task 'AntRun' is negative": lambda f: f.assign(limit=-1.0, episode=range(len(f))),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_frames_are_refused_in_one_line(frame, missing, tmp_path, message):
    bad = BAD[message](frame)
    with pytest.raises(UserError, match=message) as error:
        leaderboard.write(bad, missing, tmp_path / "new", "t", {})
    assert "\n" not in str(error.value)
    assert not (tmp_path / "new").exists()
    with pytest.raises(UserError, match=message):
        report.terminal(bad, missing)


def test_bad_missing_runs_are_refused(frame):
    with pytest.raises(UserError, match="'done'"):
        report.terminal(frame, missing_of(lost("A", "T", 1.0, 0, "done", "")))
    with pytest.raises(UserError, match=r"missing runs lack the column.* reason"):
        report.terminal(frame, missing_of(lost("A", "T", 1.0, 0, "x", "")).drop(columns="reason"))


# --- what is shown ---


def test_markdown_shows_figures_marks_and_what_is_missing(folder):
    text = (folder / "leaderboard.md").read_text()
    lines = text.splitlines()
    assert lines[0] == "# Offline safe reinforcement learning: 2 methods, 2 tasks, 3 cost limits"
    assert lines[2] == r"A \| title"
    for line in (
        "- Data source: generated; seed 7",
        "- Budget: quick",
        "- Seeds: 0, 1",
        "- Episodes a run: 1 to 2",
        "- Cost limits: limit 0, limit 10, limit 20",
        "- x: y",
        "| Beta | 2 | 0.50 (1/2) † (2 of 3 cells) | 0.90 | 0.95 | 0.95 | 2.50 | 1.50 | 1 † |",
        "| method | limit 0 | limit 10 |",
        "| Alpha | **0.35 ± 0.07 / 1.00 ± 0.00 ✓** | 0.70 ± 0.14 / 0.80 ± 0.28 ✓ |",
        "| Beta | failed | **0.90 / 1.00 ✓ (1/2 seeds)** |",
        "| Alpha | *0.55 ± 0.07 / 2.00 ± 0.71 ✗* |",
        "| Beta | *1.00 / 4.00 ✗* |",
        "| Alpha | 0.35 / 1.00 (1/1 safe) | 0.70 / 0.80 (1/1 safe) | 0.55 / 2.00 (0/1 safe) |",
        r"| Beta | BallRun | 0 | 0, 1 | failed | NaN loss \| in \`critic\` at step 7 |",
        "| Beta | BallRun | 10 | 1 | missing | not run yet |",
    ):
        assert line in lines
    assert re.search(
        r"^\| Alpha \| 1 \| 0\.67 \[\d\.\d\d, \d\.\d\d\] \(2/3\) "
        r"\| 0\.5[23] \[0\.\d\d, 0\.\d\d\] \| 0\.53 \[0\.4\d, 0\.\d\d\] \| 0\.5[23] \[",
        text,
        re.M,
    )
    assert "ε = 1 only where the limit is 0" in text
    assert "sha256 of the data sum-BallRun" in text
    assert text.index("## Overall") < text.index("## BallRun") < text.index("## AntRun")


def test_a_cell_nobody_mentions_is_missing(frame):
    table = table_of(frame)
    hole = next(cell for cell in table if (cell.algorithm, cell.limit) == ("Beta", 0.0))
    assert (hole.status, hole.safe, hole.seeds) == ("missing", None, 0)
    assert re.search(r"^Beta +missing +0.90 / 1.00 ok$", report.terminal(frame, missing_of()), re.M)


def test_each_run_that_is_not_there_is_listed_once(frame):
    runs = [lost("Beta", "BallRun", 0.0, seed, "missing", "not yet", 0.0) for seed in (0, 1)]
    for known, listed in (
        (missing_of(*runs), ["Beta", "BallRun", "0 (0%)", "0, 1", "missing", "not yet"]),
        (missing_of(), ["Beta", "BallRun", "0", "–", "missing", "no such run"]),
    ):
        rows = lost_table(table_of(frame, known), validate_missing(known)).rows
        assert [[entry(item).text for item in row] for row in rows] == [listed]


def test_a_run_that_is_there_is_not_lost(frame):
    (cell,) = (
        cell
        for cell in table_of(frame, missing_of(lost("Alpha", "AntRun", 20.0, 1, "failed", "old")))
        if (cell.algorithm, cell.task) == ("Alpha", "AntRun")
    )
    assert (cell.status, cell.seeds, cell.lost) == ("finished", 2, 0)


def test_bold_is_the_best_of_the_safe():
    scores = {"low": (0.1, 0), "best": (0.3, 1), "rash": (0.9, 2)}
    frame = episodes_of(*(run(name, "T", 1.0, 0, [score]) for name, score in scores.items()))
    rows = task_table(table_of(frame), "T", ["rash", "best", "low"]).rows
    assert [row[1] for row in rows] == [
        Entry("0.90 / 2.00 ✗", "unsafe"),
        Entry("0.30 / 1.00 ✓", "best"),
        Entry("0.10 / 0.00 ✓"),
    ]


def test_terminal_is_narrow_ascii(frame, missing):
    text = report.terminal(frame, missing)
    assert text.isascii()
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert " ".join(lines[0].split()) == "method safe cells reward IQM of reward cost seeds"
    assert lines[1].startswith("Alpha                    2/3  0.53 [0.")
    assert lines[2] == (
        "Beta    1/2 + (2 of 3 cells)               0.95           0.95               2.50    1 +"
    )
    assert "Alpha   0.35 / 1.00 ok              0.70 / 0.80 ok" in lines
    assert "Beta            failed  0.90 / 1.00 ok (1/2 seeds)" in lines
    assert "Beta    1.00 / 4.00 X" in lines
    assert lines[-1] == "Runs without a result: 2 failed, 1 missing."


def test_terminal_breaks_wide_tables():
    runs = [run("méthode " + "x" * 40, "T", float(i), 0, [(0.5, i)]) for i in range(1, 20)]
    text = report.terminal(episodes_of(*runs), missing_of())
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 100
    assert text.count("0.50 / 1.00 ok") == 19


def test_an_empty_frame_says_so(tmp_path):
    for missing in (pd.DataFrame(), missing_of(lost("A|", "T", 1.0, 0, "failed", "why"))):
        leaderboard.write(pd.DataFrame(), missing, tmp_path, "t", {}, formats=["markdown", "csv"])
        text = (tmp_path / "leaderboard.md").read_text()
        assert "No run is finished." in text
        assert ("why" in text) == (len(missing) == 1)
        assert "No run is finished." in report.terminal(pd.DataFrame(), missing)
        assert len(pd.read_csv(tmp_path / "leaderboard.csv")) == len(missing)
        assert read_episodes(tmp_path / "episodes.csv.gz").empty


NAMES = [r"a|b`c\d", "new\nline\r<b>&amp;", "$x$ 50% _lead", "NA", "=SUM(A1)", "[l](http://x)"]


def test_names_are_escaped_and_come_back_equal(tmp_path):
    frame = episodes_of(
        # returns that a hasty parser does not read back exactly
        *(run(name, NAMES[i % 2], 1.0, 0, [(0.1 + i / 7e5, 0.5)]) for i, name in enumerate(NAMES))
    )
    missing = missing_of(lost(NAMES[0], NAMES[1], 1.0, 0, "failed", "x|y\n| z |"))
    leaderboard.write(frame, missing, tmp_path, "\n".join(NAMES), {name: name for name in NAMES})
    text = (tmp_path / "leaderboard.md").read_text()
    assert "<b" not in text
    assert "b>" not in text
    assert r"a\|b\`c\\d" in text
    assert r"\[l\](http://x)" in text
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        bars = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(bars) == 1, block
    # two tasks; overall, recommendation, average, sweep, methods, both safe, profiles, missing,
    # definitions
    assert text.count("\n## ") == 2 + 9
    back = read_episodes(tmp_path / "episodes.csv.gz")
    pd.testing.assert_frame_equal(back, validate(frame), check_exact=True)
    pd.testing.assert_frame_equal(read_missing(tmp_path / "missing.csv"), validate_missing(missing))
    svg = ElementTree.parse(tmp_path / "pictures" / "frontier.svg")
    shown = {element.text for element in svg.iter() if element.tag.endswith("text")}
    assert {"$x$ 50% _lead", "new line <b>&amp;", r"a|b`c\d"} <= shown


def test_text_of_single_values():
    assert [number(x) for x in (-0.001, 1.005, NAN, 12.345)] == ["0.00", "1.00", "–", "12.35"]
    signs = [signed(x) for x in (-0.001, 0.001, 0.0, NAN, 0.5, -0.5)]
    assert signs == ["0.00", "0.00", "0.00", "–", "+0.50", "-0.50"]
    assert [cost_text(1.001, False), cost_text(1.0, True), cost_text(2, False)] == [
        *(">1.00", "1.00", "2.00")
    ]
    assert escape("a*b_c#\t~") == r"a\*b\_c\# \~"
    assert ascii_name("path/to/some/file.py:ClassName") == "path/to/..e.py:ClassName"


# --- the files ---


def test_the_folder_alone_regenerates_identical_bytes(folder, tmp_path):
    episodes = read_episodes(folder / "episodes.csv.gz").sample(frac=1, random_state=0)
    missing = read_missing(folder / "missing.csv")
    with mpl.rc_context({"axes.facecolor": "red", "font.size": 20, "savefig.dpi": 30}):
        before = dict(mpl.rcParams)
        protocol = {"Data source": "seed 7", "x": "y"}
        written = leaderboard.write(episodes, missing, tmp_path, "A | title", protocol)
        assert dict(mpl.rcParams) == before
    assert len(written) == 3 + 3 + 9 + 2 * 5  # data; md, html, csv; tables; pictures
    for path in written:
        other = folder / path.relative_to(tmp_path)
        assert path.read_bytes() == other.read_bytes(), path.name


def test_pictures_are_sane_and_name_everything(folder):
    image = imread(folder / "pictures" / "frontier.png")
    height, width, _ = image.shape
    assert 1200 <= width <= 2000
    assert 500 <= height <= 2000
    inside = image[:, :, :3].reshape(-1, 3)
    for look in looks_of(["Alpha", "Beta"]).values():  # both methods are drawn
        colour = look.colour
        rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        assert (np.abs(inside - rgb).max(axis=1) < 0.02).sum() > 100
    root = ElementTree.parse(folder / "pictures" / "frontier.svg").getroot()
    shown = {element.text for element in root.iter() if element.tag.endswith("text")}
    assert {"Alpha", "Beta", "BallRun", "AntRun", "average over tasks"} <= shown


def test_points_beyond_the_axes_stand_at_the_edge_with_an_arrow():
    scores = {1.0: (50, 99), 2.0: (-50, 0), 3.0: (0.5, 3)}
    frame = episodes_of(*(run("A", "T", limit, 0, [score]) for limit, score in scores.items()))
    average, task = frontier(table_of(frame), ["A"]).axes
    for axes in (average, task):
        low, high = axes.get_ylim()
        assert (axes.get_xlim(), low < -0.25, high > 1.25) == ((0, 30), True, True)
        (dots,) = (item for item in axes.collections if len(item.get_offsets()) == 3)
        (edge, *first), *others = dots.get_offsets().data.tolist()
        assert (first, others) == ([high], [[0, low], [1, 0.5]])
        assert 25 < edge < 30
        arrows = {line.get_marker(): line.get_xydata().tolist() for line in axes.lines}
        assert arrows[CARETRIGHTBASE] == [[30, high]]
        assert arrows[CARETUPBASE] == [[edge, high]]
        assert arrows[CARETDOWNBASE] == [[0, low]]


def test_a_write_that_breaks_leaves_the_old_file(folder, tmp_path, monkeypatch):
    nothing = pd.DataFrame()
    leaderboard.write(nothing, nothing, tmp_path, "old", {}, formats=["markdown"])
    old = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def full(self, target):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        leaderboard.write(nothing, nothing, tmp_path, "new", {}, formats=["markdown"])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == old


def test_files_that_are_none_of_ours_are_refused_in_one_line(tmp_path):
    good = gzip.compress(b"x" * 1000)
    for content in (None, b"", b"text", good, good[:-9], good[:15] + b"\0\xff" * 9):
        path = tmp_path / "episodes.csv.gz"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UserError, match=re.escape(str(path))) as error:
            read_episodes(path)
        assert "\n" not in str(error.value)
