"""The first screen: its two commands, its table and its figure."""

from __future__ import annotations

from tools.documents import ROOT, TABLE, code
from tools.figures import PICTURES

README = (ROOT / "README.md").read_text()


def test_the_first_commands_are_quickstart_and_test() -> None:
    commands = [line.split("#")[0].strip() for line in code(README, "sh")[0].splitlines()]
    assert commands == ["make quickstart", "make test"]


def test_the_figure_and_the_overall_table_come_first() -> None:
    picture = README.index(f"]({PICTURES.relative_to(ROOT)}/summary.png)")
    table = TABLE.search(README)
    assert table
    assert table["maker"] == "overall"
    assert picture < table.start() < README.index("## ")
