"""Summary figures of generated data sets, stored in a JSON file beside the snapshots."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.common.errors import UserError
from benchmarks.datasets.source import DataSet
from benchmarks.datasets.summary import Summary


def read_figures(path: Path) -> dict[str, Any]:
    """The stored figures by task; empty if there is no file yet."""
    try:
        figures = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise UserError(f"--record {path}: not a JSON file ({error}): name another") from None
    if not isinstance(figures, dict):
        raise UserError(f"--record {path}: not a file of figures by task: name another")
    return figures


def figures_of(data: DataSet, summary: Summary) -> dict[str, Any]:
    """The stored figures of one data set."""
    # JSON has no NaN: it becomes null.
    figures: dict[str, Any] = json.loads(json.dumps(asdict(summary)), parse_constant=lambda _: None)
    figures["file"], figures["bytes"] = data.path.name, data.path.stat().st_size
    figures["sha256"] = data.checksum()
    return figures
