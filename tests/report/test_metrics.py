"""A metric of one's own: one entry of the registry, and every format shows it."""

import math
import re
import sys

import pandas as pd
import pytest

from benchmarks.report import metrics
from benchmarks.report.metrics import Metric, mean
from benchmarks.report.resampling import NO_INTERVAL
from benchmarks.results import leaderboard, schema
from tests.support.leaderboard_cases import episodes_of, missing_of, run

pytestmark = pytest.mark.usefixtures("blank_pictures")

CALMNESS = Metric(
    "calmness",
    lambda scores: 1 - mean(scores.cell_costs),
    lambda drawn: 1 - drawn.total(drawn.costs) / drawn.runs,
    header="calmness",
    definition="1 less the mean normalised cost",
    format=lambda value: "none" if math.isnan(value) else f"{1000 * value:.1f} permille",
)
DARING = Metric(
    "daring",
    lambda scores: 1 - mean(scores.safe_cells),
    lambda drawn: 1 - drawn.safe_cells(),
    better="less",
    header="unsafe cells",
    terminal="value",
    definition="share of the cells with a run that are not safe",
    format=lambda value: f"{100 * value:.0f}%",
    of_cells=True,
)


@pytest.fixture
def more(monkeypatch):
    """The registry with two metrics more, wherever it has been imported."""
    known = metrics.METRICS
    for module in list(sys.modules.values()):
        if getattr(module, "METRICS", None) is known:
            monkeypatch.setattr(module, "METRICS", (*known, CALMNESS, DARING))
    for metric in (CALMNESS, DARING):
        monkeypatch.setitem(metrics.NO_INTERVALS, metric.name, NO_INTERVAL)


def frame():
    """Costs of 0.25 and 0.75 in one cell of "A", 2 in the other; one seed of "B"."""
    return episodes_of(
        *(run("A", "T", 1.0, seed, [(0.5, cost)]) for seed, cost in enumerate((0.25, 0.75))),
        *(run("A", "U", 1.0, seed, [(0.5, 2.0)]) for seed in (0, 1)),
        run("B", "T", 1.0, 0, [(0.5, 0.25)]),
    )


@pytest.mark.usefixtures("more")
def test_a_metric_has_its_format_in_markdown_latex_and_the_page(tmp_path):
    formats = ["markdown", "latex", "html", "csv"]
    leaderboard.write(frame(), missing_of(), tmp_path, "t", {}, formats=formats)
    calm, daring = "-250.0 permille [-375.0 permille, -125.0 permille]", "50% [50%, 50%] (1/2)"
    text = (tmp_path / "leaderboard.md").read_text()
    header, _, one, other = re.findall(r"^\|.*\|$", text.partition("## Overall")[2], re.M)[:4]
    assert header.endswith("| violation | calmness | unsafe cells | seeds |")
    rows = {row.split(" | ")[0]: row.split(" | ")[-3:-1] for row in (one, other)}
    assert rows == {
        "| A": [calm, daring],
        "| B": ["750.0 permille", "0% (0/1) † (1 of 2 cells)"],
    }
    latex = (tmp_path / "latex" / "overall.tex").read_text()
    assert r"violation $\downarrow$ & calmness $\uparrow$ & unsafe cells $\downarrow$ \\" in latex
    assert r"-250.0 permille {[}-375.0 permille, -125.0 permille{]} & 50\% {[}50\%" in latex
    assert r"750.0 permille & 0\% (0/1) \\" in latex
    page = (tmp_path / "leaderboard.html").read_text()
    body = page[page.index('id="overall"') : page.index('id="recommendation"')]
    assert '<th scope="col" data-better="less">unsafe cells</th>' in body
    cells = re.findall(r'<td data-v="([^"]*)">(.*?)</td>', body)
    own = [(float(number), re.sub("<.*?>", "", text)) for number, text in cells]
    assert own == [  # sorted by the bare number, as the rank is
        *((1, "1"), (0.75, "750.0 permille"), (0, "0% (0/1) † (1 of 2 cells)")),
        *((2, "2"), (-0.25, calm), (0.5, daring)),
    ]
    table = pd.read_csv(tmp_path / "tables" / "overall.csv").set_index("algorithm")
    assert table.loc["A", "daring"] == 0.5
    assert table.loc["B", "calmness"] == 0.75


@pytest.mark.usefixtures("more")
def test_a_metric_is_described_with_the_columns_of_the_data():
    columns = schema._overall()
    assert columns["calmness"] == "calmness: 1 less the mean normalised cost"


def test_a_share_of_cells_is_a_count_in_the_terminal():
    assert DARING.brief(0.25, NO_INTERVAL, 4) == "1/4"
    assert DARING.brief(math.nan, NO_INTERVAL, 0) == "–"
    assert CALMNESS.brief(0.5, NO_INTERVAL, 4) == "500.0 permille"
