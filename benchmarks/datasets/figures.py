"""Figures of generated data sets, kept in a JSON file beside the policies that make them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.common.errors import UserError
from benchmarks.datasets.source import DataSet
from benchmarks.datasets.summary import Summary


def read_figures(path: Path) -> dict[str, Any]:
    """The figures kept so far, by task; none where there is no file yet."""
    try:
        known = json.loads(path.read_text()) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise UserError(f"--record {path}: no JSON file ({error})") from None
    if not isinstance(known, dict):
        raise UserError(f"--record {path}: it holds something else than figures by task")
    return known


def figures_of(one: DataSet, summary: Summary) -> dict[str, Any]:
    """What is kept of a set beside the snapshots it is made from."""
    # JSON has no NaN
    figures: dict[str, Any] = json.loads(json.dumps(asdict(summary)), parse_constant=lambda _: None)
    figures["file"], figures["bytes"] = one.path.name, one.path.stat().st_size
    figures["sha256"] = one.checksum()
    return figures
