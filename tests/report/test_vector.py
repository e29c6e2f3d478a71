"""Figures inside a page: smaller, in the page's colours, and with names that cannot be markup."""

import re
from xml.etree import ElementTree

import numpy as np
from matplotlib.figure import Figure

from benchmarks.report.plots.drawing import render
from benchmarks.report.render.vector import Drawings

EVIL = "<script>alert(1)</script>&\"'"


def draw():
    figure = Figure(figsize=(3, 2))
    axes = figure.subplots()
    axes.plot(np.linspace(0, 1, 50), np.linspace(0, 1, 50) ** 2, "o-", color="#0072b2")
    axes.set_title(EVIL)
    axes.text(0.5, 0.5, "on dark", color="white")
    return figure


def test_a_figure_is_small_and_in_the_colours_of_the_page():
    svg = render(draw, ["svg"])["svg"]
    drawings = Drawings()
    text = drawings.inline(svg, "one", f"Label {EVIL}")
    assert len(text) + len(drawings.css) < 0.6 * len(svg)
    assert "var(--page)" in drawings.css
    assert "#0072b2" in drawings.css
    root = ElementTree.fromstring(text)
    assert root.get("aria-label") == f"Label {EVIL}"
    words = {element.text for element in root.iter() if element.tag.endswith("text")}
    assert {EVIL, "on dark"} <= words
    white = next(e for e in root.iter() if e.text == "on dark").get("class")
    assert re.search(rf"^\.{white}\{{.*fill:#ffffff", drawings.css, re.MULTILINE)


def test_the_points_stay_where_they_are():
    svg = render(draw, ["svg"])["svg"]

    def uses(text):
        found = [e for e in ElementTree.fromstring(text).iter() if e.tag.endswith("use")]
        return [(float(e.get("x")), float(e.get("y"))) for e in found]

    before, after = uses(svg), uses(Drawings().inline(svg, "one", ""))
    assert len(before) == len(after) > 50
    np.testing.assert_allclose(after, before, atol=0.051)


def test_identifiers_of_two_figures_differ_and_styles_are_shared():
    svg = render(draw, ["svg"])["svg"]
    drawings = Drawings()
    one = drawings.inline(svg, "one", "")
    css = drawings.css
    two = drawings.inline(svg, "two", "")
    assert drawings.css == css
    ids = [re.findall(r'\bid="([^"]*)"', text) for text in (one, two)]
    assert ids[0]
    assert not set(ids[0]) & set(ids[1])
    for text, own in zip((one, two), ids, strict=True):
        used = re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', text)
        assert {a or b for a, b in used} == set(own)
    assert Drawings().inline(b"", "none", "") == ""
