"""Figures and pictures of data sets, and the commands that print and keep them."""

import json
import math
import statistics
from dataclasses import asdict, replace

import h5py
import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from benchmarks import data as command
from benchmarks.commands import data_sets
from benchmarks.datasets import source, summary
from benchmarks.datasets.generation.rollouts import generated_path
from benchmarks.datasets.summary import Summary, Tenth, draw, summarise
from benchmarks.datasets.trajectories import Trajectories, file_checksum
from benchmarks.tasks.suites import SUITES
from benchmarks.tasks.tasks import TASKS

BALL, CIRCLE = TASKS["BallRun"], TASKS["BallCircle"]
TASK = replace(BALL, max_cost=20.0)
NAN = float("nan")
quick = settings(deadline=None, max_examples=40)  # a busy machine is no failure


def episodes(*given_episodes, task=TASK):
    """Data whose episodes have these steps, each a pair of reward and cost."""
    steps = [step for episode in given_episodes for step in episode]
    ends = [k == len(episode) - 1 for episode in given_episodes for k in range(len(episode))]
    rewards, costs = np.array(steps, dtype=float).T
    rows = len(steps)
    return Trajectories.from_arrays(
        np.zeros((rows, task.observation_dim)),
        np.zeros((rows, task.action_dim)),
        rewards,
        costs,
        np.zeros(rows),
        ends,
    )


def with_costs(*pairs, task=TASK):
    """Data of one-step episodes, each a pair of return and cost."""
    return episodes(*([pair] for pair in pairs), task=task)


def same(one, other):
    """Equal, where NaN equals NaN."""
    np.testing.assert_equal(asdict(one), asdict(other))


# --- figures ---------------------------------------------------------------------------------

steps = st.tuples(st.integers(-9, 9), st.integers(0, 4))
lists_of_episodes = st.lists(st.lists(steps, min_size=1, max_size=4), min_size=1, max_size=30)
# with these every edge is exact, or no whole number but the last
maxima = st.sampled_from([1.0, 5.0, 8.0, 10.0, 20.0, 11.0])


@quick
@given(lists_of_episodes, maxima)
def test_figures_are_those_of_a_count_by_hand(given_episodes, max_cost):
    totals = [tuple(map(sum, zip(*episode, strict=True))) for episode in given_episodes]
    tenths, within = [], []
    for k in range(10):
        own = [
            value
            for value, cost in totals
            if k * max_cost < 10 * cost <= (k + 1) * max_cost or (k == 0 and cost == 0)
        ]
        median = statistics.median(own) if own else NAN
        tenths.append(Tenth(len(own), min(own, default=NAN), median, max(own, default=NAN)))
        within.append(max((v for v, c in totals if 10 * c <= (k + 1) * max_cost), default=NAN))
    returns, costs = zip(*totals, strict=True)
    same(
        summarise(episodes(*given_episodes), replace(TASK, max_cost=max_cost)),
        Summary(
            "BallRun",
            len(given_episodes),
            sum(map(len, given_episodes)),
            min(returns),
            max(returns),
            max(costs),
            tuple(tenths),
            tuple(within),
        ),
    )


@quick
@given(lists_of_episodes, st.floats(0.5, 100.0))
def test_tenths_part_the_episodes_and_best_within_never_falls(given_episodes, max_cost):
    data = episodes(*given_episodes)
    figures = summarise(data, replace(TASK, max_cost=max_cost))
    counts = [tenth.episodes for tenth in figures.tenths]
    assert sum(counts) == (data.episode_costs <= max_cost).sum()
    known = [value for value in figures.best_within if not math.isnan(value)]
    assert known == sorted(known)
    assert list(map(math.isnan, figures.best_within)) == [
        not sum(counts[: k + 1]) for k in range(10)
    ]
    for k, value in enumerate(figures.best_within):
        bests = [tenth.best for tenth in figures.tenths[: k + 1] if tenth.episodes]
        assert math.isnan(value) or value == max(bests)
    for tenth in figures.tenths:
        assert not tenth.episodes or tenth.poorest <= tenth.median <= tenth.best


def test_a_tenth_holds_its_upper_edge_and_the_first_holds_zero():
    costs = [0.0, 2.0, 2.25, 4.0, 18.0, 20.0, 20.25]
    figures = summarise(with_costs(*((cost, cost) for cost in costs)), TASK)
    assert [tenth.episodes for tenth in figures.tenths] == [2, 2, 0, 0, 0, 0, 0, 0, 1, 1]
    assert figures.best_within == (2, 4, 4, 4, 4, 4, 4, 4, 18, 20)
    assert figures.max_cost == 20.25
    assert figures.max_return == 20.25
    assert figures.episodes == 7


EXAMPLE = with_costs((3.04, 1.5), (-1.0, 0.0), (7.26, 19.0), (0.5, 2.0), (9.0, 30.0))


def test_the_line_is_for_people():
    assert summarise(EXAMPLE, TASK).line() == (
        "BallRun: 5 episodes, 5 transitions; returns -1.0 to 9.0; costs to 30; "
        "by tenth of the cost range 3 0 0 0 0 0 0 0 0 1"
    )


def test_the_table_has_a_row_a_tenth_and_dashes_where_nothing_is():
    lines = summarise(EXAMPLE, TASK).table().splitlines()
    assert lines == [
        "| cost, % of maximum | trajectories | poorest | median | best | best within |",
        "|---|---:|---:|---:|---:|---:|",
        "| 0–10 | 3 | -1.0 | 0.5 | 3.0 | 3.0 |",
        *(f"| {low}–{low + 10} | 0 | – | – | – | 3.0 |" for low in range(10, 90, 10)),
        "| 90–100 | 1 | 7.3 | 7.3 | 7.3 | 7.3 |",
    ]


def test_what_is_within_no_cost_is_a_dash():
    figures = summarise(with_costs((1.0, 3.0), (2.0, 99.0)), TASK)
    assert figures.table().splitlines()[2:5] == [
        "| 0–10 | 0 | – | – | – | – |",
        "| 10–20 | 1 | 1.0 | 1.0 | 1.0 | 1.0 |",
        "| 20–30 | 0 | – | – | – | 1.0 |",
    ]


# --- the picture -----------------------------------------------------------------------------


@pytest.fixture
def figures(monkeypatch):
    """The figures that are drawn."""
    drawn = []

    class Kept(Figure):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            drawn.append(self)

    monkeypatch.setattr(summary, "Figure", Kept)
    return drawn


@pytest.mark.parametrize(
    ("suffix", "first"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_the_picture_is_of_the_kind_that_its_name_tells(tmp_path, suffix, first):
    path = tmp_path / f"picture.{suffix}"
    path.write_text("an earlier one")
    settings_before = dict(mpl.rcParams)
    draw([(TASK, EXAMPLE)], path)
    assert path.read_bytes().startswith(first)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    assert dict(mpl.rcParams) == settings_before


@pytest.mark.parametrize(
    ("count", "rows", "columns"),
    [
        *((1, 1, 1), (3, 1, 3), (5, 2, 4)),
        *(pytest.param(*one, marks=pytest.mark.slow) for one in ((4, 1, 4), (8, 2, 4))),
    ],
)
def test_a_set_is_a_panel_and_no_panel_is_empty(tmp_path, figures, count, rows, columns):
    tasks = [replace(TASK, name=f"Task{k}") for k in range(count)]
    draw(
        [(task, with_costs((k, 1.0), (0, 2.0))) for k, task in enumerate(tasks)], tmp_path / "a.png"
    )
    (figure,) = figures
    panels = [panel for panel in figure.axes if panel.axison]
    assert [panel.get_title() for panel in panels] == [f"{task.name} (2)" for task in tasks]
    (grid,) = {panel.get_gridspec().get_geometry() for panel in figure.axes}
    assert grid == (rows, columns)
    for k, panel in enumerate(panels):
        (dots,) = panel.collections
        assert dots.get_offsets().tolist() == [[1.0, k], [2.0, 0.0]]


def test_a_panel_shows_the_best_within_each_cost_and_the_limits(tmp_path, figures):
    data = with_costs((5.0, 3.0), (1.0, 1.0), (4.0, 9.0), (7.0, 12.0), (-2.0, 0.0))
    draw([(TASK, data)], tmp_path / "a.png")
    (panel,) = figures[0].axes
    best, *limits = panel.lines
    assert best.get_drawstyle() == "steps-post"
    assert list(best.get_xdata()) == [0, 1, 3, 9, 12]
    assert list(best.get_ydata()) == [-2, 1, 5, 5, 7]
    at = [line.get_xdata()[0] for line in limits]
    assert at == [limit.of(TASK) for name in ("tight", "loose") for limit in SUITES[name].limits]


def test_a_failure_leaves_an_earlier_picture(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_text("an earlier one")

    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(KeyboardInterrupt):
        draw([(TASK, EXAMPLE)], tmp_path / "a.png")
    assert (tmp_path / "a.png").read_text() == "an earlier one"


# --- python -m benchmarks.data inspect -------------------------------------------------------


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder with published files of BallRun and BallCircle, and a cache of this test's own."""
    monkeypatch.setenv("DSRL_DATASET_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("OSRL_BENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    for task in (BALL, CIRCLE):
        costs = with_costs((3.0, 4.0), (5.0, 60.0), task=task)
        costs.save(tmp_path / "data" / task.dataset_file)
    return tmp_path / "data"


def loaded(path):
    return Trajectories.load(path, "")


@pytest.mark.parametrize("choice", ["auto", "dsrl", "folder"])
def test_inspect_prints_figures_and_draws_them(data, tmp_path, capsys, choice):
    out = tmp_path / "picture.svg"
    chosen = str(data) if choice == "folder" else choice
    names = ["BallCircle", "BallRun"]
    assert command.main(["inspect", *names, "--data", chosen, "--out", str(out)]) == 0
    printed = capsys.readouterr()
    told = ""
    for task in (CIRCLE, BALL):
        figures = summarise(loaded(data / task.dataset_file), task)
        told += f"{figures.line()}\n\n{figures.table()}\n\n"
    assert printed.out == f"{told}picture: {out}\n"
    notes = printed.err.splitlines()
    assert all(line.startswith("note: ") and "name says" in line for line in notes)
    assert out.read_bytes().startswith(b"<?xml")


def refused(capsys, *arguments):
    """The one line that a refusal prints."""
    assert command.main(list(map(str, arguments))) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    return line


def test_inspect_refuses_a_wrong_name_before_the_work(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(data_sets, "choose", None)
    for name in ("picture.jpg", "picture", "picture.png.txt"):
        said = refused(capsys, "inspect", "BallRun", "--out", tmp_path / name)
        assert said == (
            f"error: --out {tmp_path / name}: a picture's name ends in .png, .svg or .pdf"
        )
    out = tmp_path / "none" / "picture.png"
    said = refused(capsys, "inspect", "BallRun", "--out", out)
    assert said == f"error: --out {out}: there is no folder {out.parent}"
    said = refused(capsys, "inspect", "BallRun", "BalRun", "--out", tmp_path / "a.png")
    assert said.startswith("error: unknown task 'BalRun': did you mean BallRun? ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_inspect_refuses_a_file_that_is_not_whole(data, tmp_path, capsys):
    path = data / BALL.dataset_file
    with h5py.File(path, "a") as file:
        file["costs"][0] = -1
    out = tmp_path / "a.png"
    said = refused(capsys, "inspect", "BallRun", "--data", data, "--out", out)
    assert f"(BallRun: {path}: costs are negative, down to -1)" in said
    assert not out.exists()
    path.unlink()
    said = refused(capsys, "inspect", "BallRun", "--data", data, "--out", out)
    assert f"(BallRun: not in {data})" in said


# --- python -m benchmarks.data generate ------------------------------------------------------


@pytest.fixture
def made(data, tmp_path, monkeypatch):
    """Pretend to generate: the tasks asked for."""
    asked = []

    def generate(task, cache, **_):
        path = generated_path(task, cache)
        path.parent.mkdir(parents=True, exist_ok=True)
        with_costs((3.0, 4.0), (5.0, 60.0), task=task).save(path)
        asked.append(task)
        return path

    monkeypatch.setattr(source, "generate", generate)
    return asked


def test_generate_records_the_figures_and_keeps_those_of_others(made, tmp_path, capsys):
    record = tmp_path / "figures.json"
    assert command.main(["generate", "BallRun", "--record", str(record)]) == 0
    content = json.loads(record.read_text())
    assert list(content) == ["BallRun"]
    own = dict(content["BallRun"])
    path = generated_path(BALL, tmp_path / "cache")
    assert (own.pop("file"), own.pop("bytes")) == (path.name, path.stat().st_size)
    assert own.pop("sha256") == file_checksum(path)
    assert own["tenths"][0] == {"episodes": 1, "poorest": 3.0, "median": 3.0, "best": 3.0}
    assert own["tenths"][1] == {"episodes": 0, "poorest": None, "median": None, "best": None}
    assert own["best_within"] == [3.0] * 7 + [5.0] * 3
    assert own.keys() == asdict(summarise(EXAMPLE, TASK)).keys()
    assert (own["episodes"], own["max_cost"]) == (2, 60.0)

    record.write_text(json.dumps({"BallRun": {"episodes": 7}, "AntRun": {"episodes": 9}}))
    assert command.main(["generate", "BallCircle", "BallRun", "--record", str(record)]) == 0
    other = json.loads(record.read_text())
    assert other.pop("AntRun") == {"episodes": 9}
    assert other.pop("BallCircle")["task"] == "BallCircle"
    assert other == content
    assert made == [BALL, CIRCLE]  # what is there is not made again
    assert (
        record.read_text()
        == json.dumps(json.loads(record.read_text()), indent=1, sort_keys=True) + "\n"
    )


def test_without_record_nothing_is_kept(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command.main(["generate", "BallRun"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "data"]


def test_generate_makes_what_can_be_made(made, monkeypatch):
    monkeypatch.setattr(data_sets, "shipped_tasks", lambda: ["BallCircle", "BallRun"])
    assert command.main(["generate"]) == 0
    assert made == [CIRCLE, BALL]
    for task in (CIRCLE, BALL):
        generated_path(task, source.cache_folder()).unlink()
    assert command.main(["generate", "--all"]) == 0
    assert made == [CIRCLE, BALL] * 2


def test_generate_refuses_before_the_work(made, tmp_path, capsys):
    said = refused(capsys, "generate", "--all", "BallRun")
    assert said == "error: generate: name tasks or give --all, not both"
    record = tmp_path / "none" / "figures.json"
    said = refused(capsys, "generate", "BallRun", "--record", record)
    assert said == f"error: --record {record}: there is no folder {record.parent}"
    record = tmp_path / "figures.json"
    for content in ("{", "[]"):
        record.write_text(content)
        said = refused(capsys, "generate", "BallRun", "--record", record)
        assert said.startswith(f"error: --record {record}: ")
        assert record.read_text() == content
    assert made == []
