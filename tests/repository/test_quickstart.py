"""The committed leaderboard of the quickstart is what its command makes of what it keeps."""

from __future__ import annotations

import gzip
import re
import shutil
from pathlib import Path

from benchmarks.leaderboard import main

RESULTS = Path(__file__).parents[2] / "results"
INPUT = "plan.json", "protocol.toml", "episodes.csv.gz", "missing.csv", "trainings.json.gz"
IMAGE = re.compile(rb"data:image/svg\+xml;base64,[A-Za-z0-9+/=]+")
"""Its bytes are matplotlib's, and so differ with its version."""


def content(path: Path) -> bytes:
    """What a file holds; how it is compressed is zlib's."""
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def test_the_quickstart_leaderboard_is_regenerated_without_a_diff(tmp_path: Path) -> None:
    kept = RESULTS / "quickstart"
    made = tmp_path / "quickstart"
    made.mkdir()
    for name in INPUT:
        shutil.copy(kept / name, made)
    assert main([str(made)]) == 0
    files = {path.relative_to(kept) for path in kept.rglob("*") if path.is_file()}
    assert {path.relative_to(made) for path in made.rglob("*") if path.is_file()} == files
    for path in sorted(files):
        if path.parts[0] != "pictures":
            one, other = (content(folder / path) for folder in (made, kept))
            assert IMAGE.sub(b"", one) == IMAGE.sub(b"", other), path
