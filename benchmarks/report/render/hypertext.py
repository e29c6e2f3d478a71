"""Tables as HTML: sortable columns, headers for screen readers, intervals in small print."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from itertools import groupby

from benchmarks.report.render.markup import Column, Entry, Row, Table, entry

_DETAIL = re.compile(r" ([\[±(†].*)$")
"""What follows a figure in a cell: an interval, a deviation, a count, a mark of gaps."""


def text_html(text: str) -> str:
    """`text` escaped, for use between tags and in attributes."""
    return html.escape(text)


def html_cell(item: str | Entry, tag: str = "td") -> str:
    """A cell of the body: `tag` th for the one that names its row."""
    content = entry(item)
    text = text_html(content.document_text)
    if not content.untrusted:
        text = _DETAIL.sub(r" <small>\1</small>", text)
    attributes = ' scope="row"' if tag == "th" else ""
    css = " ".join(filter(None, [content.style, "name" if content.untrusted else ""]))
    attributes += f' class="{css}"' if css else ""
    if content.value is not None:
        attributes += f' data-v="{content.value:.6g}"'
    if content.shown and content.shown != content.text:
        attributes += f' title="{text_html(content.text)}"'
    return f"<{tag}{attributes}>{text}</{tag}>"


def html_rows(rows: Sequence[Row]) -> str:
    """The body of a table; the first cell of a row names it."""
    # `choices.js` makes rows alike
    lines = []
    for row in rows:
        cells = [html_cell(item, "td" if i else "th") for i, item in enumerate(row)]
        setting = entry(row[0]).setting
        mark = f' data-s="{text_html(setting)}"' if setting else ""
        lines.append(f"<tr{mark}>{''.join(cells)}</tr>")
    return "\n".join(lines)


def html_table(table: Table, caption: str, key: str = "") -> str:
    """An HTML table with a caption for screen readers; the styles are CSS classes.

    Headers tell the script which order is best first (`data-better`) and which limit their column
    belongs to (`data-s`).
    """
    columns = [_column(item) for item in table.header]
    top = ""
    if any(column.over for column in columns):
        groups = [(over, list(group)) for over, group in groupby(columns, lambda c: c.over)]
        cells = [
            f'<th scope="colgroup" colspan="{len(group)}"{_setting(group[0])}>'
            f"{text_html(over)}</th>"
            for over, group in groups
        ]
        top = f'<tr class="over">{"".join(cells)}</tr>'
    first = table.rows[0] if table.rows else []
    words = [entry(item).untrusted for item in first] or [False] * len(columns)
    head = "".join(_header(column, word) for column, word in zip(columns, words, strict=True))
    identity = f' id="{text_html(key)}"' if key else ""
    return (
        f"<table{identity}><caption>{text_html(caption)}</caption>"
        f"<thead>{top}<tr>{head}</tr></thead>"
        f"<tbody>\n{html_rows(table.rows)}\n</tbody></table>"
    )


def _column(item: str | Entry) -> Column:
    if isinstance(item, Column):
        return item
    content = entry(item)
    return Column(content.text, content.style, content.untrusted, content.shown)


def _header(column: Column, words: bool) -> str:
    """A header; `words`: its column holds names, which stand on the left."""
    text = text_html(column.document_text)
    attributes = ' class="name"' if words else ""
    if column.better:
        attributes += f' data-better="{column.better}"'
    if column.shown and column.shown != column.text:
        attributes += f' title="{text_html(column.text)}"'
    return f'<th scope="col"{attributes}{_setting(column)}>{text}</th>'


def _setting(column: Column) -> str:
    return f' data-s="{text_html(column.setting)}"' if column.setting else ""
