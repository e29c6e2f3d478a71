"""What is installed on a machine, and wheels that were carried there for what is not."""

from __future__ import annotations

import importlib
import sys
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from benchmarks.common.errors import UserError


def missing(module: str) -> bool:
    """Whether a top-level module is not installed."""
    return find_spec(module) is None


def use_wheels(wheels: Path, site: Path) -> list[str]:
    """Unpack into `site` those of the folder `wheels` whose modules are missing; their names.

    `site` becomes part of this process's import path. Nothing that is installed is replaced. Only
    wheels of pure Python are used, as they fit every version of Python.
    """
    unpacked = []
    if site.is_dir() and str(site) not in sys.path:
        sys.path.append(str(site))
    for wheel in sorted(wheels.glob("*-none-any.whl")):
        try:
            with zipfile.ZipFile(wheel) as archive:
                if all(not missing(module) for module in _modules(archive.namelist())):
                    continue
                archive.extractall(site)
        except (zipfile.BadZipFile, OSError) as error:
            raise UserError(f"{wheel} cannot be unpacked ({error}): download it again") from None
        unpacked.append(wheel.name)
    if unpacked and str(site) not in sys.path:
        sys.path.append(str(site))
    importlib.invalidate_caches()
    return unpacked


def _modules(files: Sequence[str]) -> set[str]:
    """The top-level modules and packages among a wheel's files."""
    found = set()
    for name in files:
        top, *rest = PurePosixPath(name).parts
        if not top.endswith((".dist-info", ".data")) and (rest or top.endswith(".py")):
            found.add(top.removesuffix(".py"))
    return found
