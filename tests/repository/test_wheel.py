"""What is installed from a wheel works without the checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib import metadata
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
found = {path.name for path in files("benchmarks.report.render").iterdir()}
assert found >= WANTED, WANTED - found
print(benchmarks.__file__)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own that holds a wheel of this checkout and nothing else.

    The packages that it needs are those of the environment of the tests.
    """
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
    target, wheels = tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("wheels")
    venv.create(target, with_pip=False, symlinks=True)
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    offline = ["--no-index", "--no-deps"]
    build = [*pip, "wheel", *offline, "--no-build-isolation", "-w", str(wheels), str(source)]
    run(build, source)
    (wheel,) = wheels.iterdir()
    into = [*pip, "--python", str(target / "bin" / "python"), "install", *offline, "--no-compile"]
    run([*into, str(wheel)], source)
    (site,) = target.glob("lib/python*/site-packages")
    (site / "needed.pth").write_text(sysconfig.get_path("purelib"))
    return target


def run(command: list[str], folder: Path) -> str:
    """What a command prints in a folder, where Python finds nothing but what is installed."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def test_an_installed_copy_has_all_its_data(installed: Path, tmp_path: Path) -> None:
    folder = ROOT / "benchmarks" / "report" / "render"
    wanted = {path.name for kind in ("css", "js") for path in folder.glob(f"*.{kind}")}
    assert wanted
    probe = f"WANTED = {wanted!r}\n{PROBE}"
    python = [str(installed / "bin" / "python"), "-c", probe]
    assert run(python, tmp_path).startswith(str(installed))


def test_an_installed_copy_is_a_command(installed: Path, tmp_path: Path) -> None:
    program = str(installed / "bin" / "osrl-bench")
    assert metadata.version("osrl-bench") in run([program, "--version"], tmp_path)
    assert "BallRun" in run([program, "tasks"], tmp_path)
