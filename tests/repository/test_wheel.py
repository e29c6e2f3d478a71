"""What is installed from a wheel works without the checkout."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE", "gas", "baselines", "benchmarks")
PROBE = """
from importlib.metadata import metadata
import benchmarks
from benchmarks.datasets.generation.policies import recorded_checksum, shipped_tasks
from benchmarks.report.render.page import page
from benchmarks.results.files import read_published
from benchmarks.results.leaderboard import SHIPPED
from benchmarks.tasks.tasks import ALL_TASKS
from importlib.resources import files

assert metadata("osrl-bench")["Requires-Python"] == "<3.12,>=3.11"
assert len(ALL_TASKS) == 38
assert all(recorded_checksum(task) for task in shipped_tasks())
assert len(shipped_tasks()) == 12
assert {figure.paper for figure in read_published(SHIPPED)} >= {"CAPS", "GAS"}
assert all((files("benchmarks.report.render") / name).is_file() for name in ("page.css", "page.js"))
print(benchmarks.__file__)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages as pip installs them from a wheel of this checkout."""
    source = tmp_path_factory.mktemp("source")
    for name in BUILT_FROM:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(
                path, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(path, source / name)
    shutil.copytree(ROOT / "results" / "published", source / "results" / "published")
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps"]
    done = subprocess.run(
        [*pip, "--no-build-isolation", "--target", str(target), str(source)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return target


def test_an_installed_copy_has_all_its_data(installed: Path, tmp_path: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(installed)!r})\n{PROBE}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(installed))
