"""Carried wheels serve where a package is missing, and replace nothing that is installed."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from benchmarks.common.errors import UserError
from benchmarks.measures.gpu_check.packages import missing, use_wheels


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


def wheel(folder: Path, name: str, *files: str) -> None:
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / name, "w") as archive:
        for file in (*files, "some-1.dist-info/METADATA"):
            archive.writestr(file, "")


def test_a_missing_package_is_taken_from_its_wheel(tmp_path: Path) -> None:
    wheel(tmp_path / "w", "carried-1-py3-none-any.whl", "carried_one/__init__.py")
    wheel(tmp_path / "w", "numpy-9-py3-none-any.whl", "numpy/__init__.py")
    wheel(tmp_path / "w", "built-1-cp311-cp311-linux_x86_64.whl", "built_one/__init__.py")
    assert missing("carried_one")
    assert use_wheels(tmp_path / "w", tmp_path / "site") == ["carried-1-py3-none-any.whl"]
    assert not missing("carried_one")
    assert missing("built_one")
    assert not (tmp_path / "site" / "numpy").exists()
    assert use_wheels(tmp_path / "w", tmp_path / "site") == []


def test_no_folder_of_wheels_is_no_mistake(tmp_path: Path) -> None:
    assert use_wheels(tmp_path / "none", tmp_path / "site") == []


def test_a_damaged_wheel_is_named(tmp_path: Path) -> None:
    (tmp_path / "x-1-py3-none-any.whl").write_text("no zip")
    with pytest.raises(UserError, match=r"x-1-py3-none-any.whl cannot be unpacked"):
        use_wheels(tmp_path, tmp_path / "site")
