"""Fill the tables of the documents and draw their pictures from results/: `make figures`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.report.plots.drawing import render
from benchmarks.report.plots.summary import summary_chart
from tools.documents import ROOT, documents, filled
from tools.screenshots import NARROW, WIDE, screenshot
from tools.tables import leaderboard, make, overall

PICTURES = ROOT / "docs" / "pictures"
RECORD = PICTURES / "made-from.json"
"""For each picture the sha256 of each file that it was made from."""


def summary_source() -> Path:
    """The table that the figure of the first screen shows."""
    return leaderboard() / "tables" / "overall.csv"


def summary() -> bytes:
    """The figure of the first screen."""
    return render(lambda: summary_chart(overall(leaderboard())), ("png",))["png"]


def report() -> Path:
    """The report of the leaderboard of the first screen."""
    return leaderboard() / "leaderboard.html"


def shot(size: tuple[int, int], scheme: str) -> Callable[[], bytes]:
    """The making of a screenshot of the report."""
    return lambda: screenshot(report(), size, scheme)


DRAWN: Mapping[str, tuple[Callable[[], Path], Callable[[], bytes]]] = {
    "summary.png": (summary_source, summary),
    "report-wide-light.png": (report, shot(WIDE, "light")),
    "report-wide-dark.png": (report, shot(WIDE, "dark")),
    "report-narrow-light.png": (report, shot(NARROW, "light")),
    "report-narrow-dark.png": (report, shot(NARROW, "dark")),
}
"""Each picture: the file that it is made from, and its making."""


def sources() -> dict[str, dict[str, str]]:
    """What `RECORD` holds if every picture is up to date."""
    return {name: _record(source()) for name, (source, _) in DRAWN.items()}


def _record(source: Path) -> dict[str, str]:
    return {source.relative_to(ROOT).as_posix(): _sha256(source)}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stale() -> list[Path]:
    """The documents whose tables differ from the results."""
    return [path for path in documents() if path.read_text("utf-8") != filled(path, make)]


def main() -> None:
    """Write the tables that differ from the results, and every picture."""
    for path in stale():
        path.write_text(filled(path, make), "utf-8")
        print(f"{path.relative_to(ROOT)}: tables made anew")
    PICTURES.mkdir(exist_ok=True)
    record = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
    for name, (source, draw) in DRAWN.items():
        place = (PICTURES / name).relative_to(ROOT)
        there = (PICTURES / name).exists() and record.get(name) == _record(source())
        if name != "summary.png" and there:
            continue  # a screenshot takes seconds
        try:
            (PICTURES / name).write_bytes(draw())
        except RuntimeError as error:
            print(f"{place}: left as it is: {error}")
            continue
        record[name] = _record(source())
        print(f"{place}: made anew")
    RECORD.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
