"""Figures as SVG inside a page: small, and in the page's colours, light or dark."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from xml.etree import ElementTree

_NUMBER = re.compile(r"-?\d+\.\d+")
_REFERENCE = re.compile(r"#([\w.-]+)")
_HREF = "{http://www.w3.org/1999/xlink}href"
_PAGE = {
    "#ffffff": "var(--page)",
    "#000000": "var(--text)",
    "#444444": "var(--muted)",
    "#e6e6e6": "var(--line)",
}
"""The page's colour for each colour of a figure that is not a line's."""
_ATTRIBUTES = ("x", "y", "d", "points", "transform", "width", "height", "viewBox")
_DROPPED = {"version", "clip-rule"}


class Drawings:
    """Converts the figures of one page; equal styles share a CSS class."""

    def __init__(self) -> None:
        self._classes: dict[str, str] = {}

    @property
    def css(self) -> str:
        """The rules of all classes so far."""
        return "\n".join(f".{name}{{{style}}}" for style, name in self._classes.items())

    def inline(self, svg: bytes, name: str, label: str) -> str:
        """The figure as an SVG element that screen readers call `label`.

        `name` keeps its identifiers apart from those of other figures. Empty for an empty file.
        """
        if not svg:
            return ""
        root = ElementTree.fromstring(svg)
        used = {found for element in root.iter() for found in _references(element)}
        box = html.escape(_rounded(root.get("viewBox", ""), 1))
        width = float(box.split()[2]) if len(box.split()) == 4 else 0.0
        inside = "".join(self._text(child, name, used, 1) for child in root)
        return (
            f'<svg class="figure" role="img" aria-label="{html.escape(label)}" viewBox="{box}" '
            f'style="max-width:{1.4 * width:.0f}px" xmlns="http://www.w3.org/2000/svg">'
            f"{inside}</svg>"
        )

    def _text(self, element: ElementTree.Element, name: str, used: set[str], digits: int) -> str:
        """An element as text, without what has no effect; numbers get `digits` decimals."""
        tag = element.tag.rpartition("}")[2]
        if tag in ("metadata", "style"):
            return ""
        if tag == "defs":
            digits = 2  # markers are small
        inside = html.escape(element.text.strip()) if element.text else ""
        inside += "".join(self._text(child, name, used, digits) for child in element)
        if not inside and tag in ("g", "defs"):
            return ""
        attributes = "".join(
            f' {key}="{html.escape(value)}"'
            for key, value in self._attributes(element, tag, name, used, digits)
        )
        if tag == "g" and not attributes:
            return inside
        return f"<{tag}{attributes}>{inside}</{tag}>" if inside else f"<{tag}{attributes}/>"

    def _attributes(
        self, element: ElementTree.Element, tag: str, name: str, used: set[str], digits: int
    ) -> Iterator[tuple[str, str]]:
        for key, value in element.attrib.items():
            plain = key.rpartition("}")[2]
            if plain == "id":
                if value in used:
                    yield "id", f"{name}-{value}"
            elif plain == "style":
                if style := self._style(value, tag):
                    yield "class", self._classes.setdefault(style, f"f{len(self._classes)}")
            elif key == _HREF:
                yield "href", f"#{name}-{value[1:]}" if value.startswith("#") else value
            elif plain == "clip-path":
                yield plain, _REFERENCE.sub(rf"#{name}-\1", value)
            elif plain in _ATTRIBUTES:
                short = re.sub(r" ?rotate\(-?0( [^)]*)?\)", "", _rounded(value, digits))
                if plain == "d":
                    short = re.sub(r" ?([MLCQz]) ?", r"\1", short)
                if short:
                    yield plain, short
            elif plain not in _DROPPED:
                yield plain, value

    def _style(self, text: str, tag: str) -> str:
        """A style in the page's colours; white text stays white, as it stands on a dark field."""
        found = []
        for declaration in filter(None, map(str.strip, text.split(";"))):
            key, _, value = (word.strip() for word in declaration.partition(":"))
            if key == "font-family":  # the page's font is narrower
                continue
            if key == "font" and (size := re.search(r"(?:bold )?[\d.]+px", value)):
                value = f"{size[0]} sans-serif"
            if value in _PAGE and not (tag == "text" and value == "#ffffff"):
                value = _PAGE[value]
            found.append(f"{key}:{value}")
        return ";".join(found)


def _references(element: ElementTree.Element) -> Iterator[str]:
    for key, value in element.attrib.items():
        if key == _HREF and value.startswith("#"):
            yield value[1:]
        elif "url(#" in value:
            yield from _REFERENCE.findall(value)


def _rounded(text: str, digits: int) -> str:
    """`text` with numbers of at most `digits` decimals, and single spaces."""
    short = _NUMBER.sub(lambda found: f"{float(found[0]):.{digits}f}", text)
    short = re.sub(r"(\d)\.0+(?!\d)", r"\1", short)
    return " ".join(short.split())
