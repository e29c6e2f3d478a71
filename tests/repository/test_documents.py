"""The documents show the committed results, link to what exists, and are all on the site."""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path

import pytest

from tools.documents import ROOT, TABLE, documents, filled
from tools.figures import DRAWN, PICTURES, RECORD, sources, stale
from tools.tables import make

DOCUMENTS = documents()
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
LINK = re.compile(r"\]\((?!\w+:)([^)\s]*)\)")


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings."""
    headings = re.findall(r"^#+ +(.*)$", path.read_text(encoding="utf-8"), re.M)
    words = (re.sub(r"[^\w\s-]", "", heading.lower()) for heading in headings)
    return {re.sub(r"\s+", "-", text.strip()) for text in words}


def test_tables_are_those_of_the_results() -> None:
    assert stale() == [], "run `make figures`"


def test_a_changed_table_is_noticed(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = TABLE.search(text)
    assert table
    changed = tmp_path / "README.md"
    changed.write_text(text.replace(table["text"], "\nanother table\n"), encoding="utf-8")
    again = filled(changed, lambda maker, _: make(maker, ROOT / "README.md"))
    assert again == text


def test_pictures_are_as_new_as_the_results() -> None:
    assert json.loads(RECORD.read_text()) == sources(), "run `make figures`"
    assert {path.name for path in PICTURES.glob("*.png")} == set(DRAWN)


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_links_lead_somewhere(path: Path) -> None:
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        place, _, anchor = target.partition("#")
        file = (path.parent / place).resolve() if place else path
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_numbers_are_written_as_0_66_and_10_percent(path: Path) -> None:
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.S | re.M)
    assert re.findall(r"(?<![\w.])\.\d+|\d %", text) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_no_table_lacks_its_end(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    whole = len(TABLE.findall(text))
    assert len(re.findall("^<!-- table:", text, re.M)) == whole
    assert len(re.findall("^<!-- end of table -->", text, re.M)) == whole


def test_every_page_is_in_the_navigation_once() -> None:
    _, _, nav = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")
    pages = re.findall(r": ([\w/-]+\.md)$", nav, re.M)
    docs = ROOT / "docs"
    assert sorted(pages) == sorted(
        ["index.md", *(path.relative_to(docs).as_posix() for path in docs.rglob("*.md"))]
    )
    assert all(posixpath.normpath(page) == page for page in pages)
