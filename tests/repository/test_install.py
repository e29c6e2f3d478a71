"""The lock files pin what pyproject.toml asks for, and the Makefile installs it once."""

import os
import re
import shutil
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
# Those that `make setup` installs.
EXTRAS = ["simulators", "test"]
LOCKS = ["lock.txt", "no-deps.txt", "docs.txt"]
# A CUDA build of torch pins these itself; the lock leaves them to it.
CUDA = ("cuda-", "nvidia-", "triton")

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def lines(name):
    text = (ROOT / "requirements" / name).read_text()
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def pins(name):
    """Canonical name -> version."""
    return {
        canonicalize_name(package): version
        for package, version in (line.split("==") for line in lines(name))
    }


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_is_one_exact_pin_without_a_place(name):
    for line in lines(name):
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]*==[0-9][0-9a-z.]*", line), line
    text = (ROOT / "requirements" / name).read_text()
    assert not re.search(r"://|--(extra-)?index-url|--find-links|(^|\s)/\w", text)


@pytest.mark.parametrize(("lock", "extras"), [("lock.txt", EXTRAS), ("docs.txt", ["docs"])])
def test_lock_meets_every_requirement_of_the_project(lock, extras):
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = table["project"]
    asked = [line for extra in extras for line in project["optional-dependencies"][extra]]
    if lock == "lock.txt":
        asked += table["build-system"]["requires"] + project["dependencies"]
    locked = pins(lock)
    for requirement in map(Requirement, asked):
        name = canonicalize_name(requirement.name)
        assert name in locked, f"{name} is not locked: run `make lock`"
        assert requirement.specifier.contains(locked[name]), f"{requirement}: run `make lock`"


def test_lock_holds_what_its_packages_require():
    locked = pins("lock.txt")
    for name in locked:
        try:
            needed = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # an environment made otherwise
        for requirement in map(Requirement, needed):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                other = canonicalize_name(requirement.name)
                assert other in locked or other.startswith(CUDA), f"{name} needs {other}"


def test_no_package_is_installed_twice_and_uv_knows_those_without_dependencies():
    apart = pins("no-deps.txt")
    assert not apart.keys() & pins("lock.txt").keys()
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())
    told = table["tool"]["uv"]["dependency-metadata"]
    assert {item["name"]: item["version"] for item in told} == apart


@pytest.fixture
def checkout(tmp_path):
    """What the Makefile needs of a clone, without an environment."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    return tmp_path


def make(checkout, *arguments):
    # Nothing of the make that may have started these tests: its variables would win.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    environment.pop("VENV", None)
    return subprocess.run(
        ["make", *arguments], cwd=checkout, env=environment, capture_output=True, text=True
    )


def fake_python(checkout, version, name="fake-python"):
    """A Python that only ever says its version, and fails at anything else."""
    script = checkout / name
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(f'#!/bin/sh\n[ "$1" = -c ] && echo {version}\n')
    script.chmod(0o755)
    return script


@needs_make
def test_a_wrong_python_is_named_in_one_line(checkout):
    done = make(checkout, f"PYTHON={fake_python(checkout, '3.12')}", "setup")
    assert done.returncode != 0
    (line,) = (done.stdout + done.stderr).splitlines()
    assert "Python 3.11 is needed" in line
    assert "found 3.12" in line
    assert "make PYTHON=" in line
    assert not (checkout / ".venv").exists()


@needs_make
def test_no_python_is_named_in_one_line(checkout):
    done = make(checkout, f"PYTHON={checkout / 'absent'}", "setup")
    assert done.returncode != 0
    (line,) = (done.stdout + done.stderr).splitlines()
    assert "found none" in line


@needs_make
def test_quickstart_sets_up_and_then_runs_the_suite(checkout):
    done = make(checkout, "-n", f"PYTHON={fake_python(checkout, '3.11')}", "quickstart")
    assert done.returncode == 0, done.stderr
    install, run = "requirements/install.sh", ".venv/bin/python -m benchmarks.run --suite tight"
    assert 0 <= done.stdout.find(install) < done.stdout.find(run)


@needs_make
def test_setup_does_nothing_until_a_lock_changes(checkout):
    question = ["-q", "VENV=there", f"PYTHON={fake_python(checkout, '3.11')}", "setup"]
    assert make(checkout, *question).returncode == 1
    stamp = checkout / "there" / ".installed"
    stamp.parent.mkdir()
    stamp.touch()
    done = make(checkout, "-q", "VENV=there", "PYTHON=absent", "setup")
    assert (done.returncode, done.stderr) == (0, "")
    for name in ["requirements/lock.txt", "requirements/no-deps.txt", "pyproject.toml"]:
        times = (checkout / name).stat()
        os.utime(checkout / name, (times.st_atime, stamp.stat().st_mtime + 10))
        assert make(checkout, *question).returncode == 1, name
        os.utime(checkout / name, (times.st_atime, times.st_mtime))


@needs_make
def test_an_interrupted_setup_starts_anew(checkout):
    venv = checkout / ".venv"
    (venv / "half").mkdir(parents=True)
    (venv / ".unfinished").write_text("")
    done = make(checkout, f"PYTHON={fake_python(checkout, '3.11')}", "setup")
    assert done.returncode != 0  # the fake cannot create an environment
    assert "removing .venv" in done.stdout
    assert not (venv / "half").exists()
    assert (venv / ".unfinished").exists(), "the next call must start anew too"


@needs_make
def test_two_setups_do_not_share_an_environment(checkout):
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / ".unfinished").write_text(str(os.getpid()))
    done = make(checkout, f"PYTHON={fake_python(checkout, '3.11')}", "setup")
    assert done.returncode != 0
    assert f"process {os.getpid()} is installing" in done.stderr
    assert (checkout / ".venv").exists()


@needs_make
def test_a_folder_that_is_no_environment_is_left_alone(checkout):
    (checkout / "mine").mkdir()
    (checkout / "mine" / "thesis.tex").touch()
    for target in ["setup", "clean"]:
        make(checkout, "VENV=mine", f"PYTHON={fake_python(checkout, '3.11')}", target)
        assert [path.name for path in (checkout / "mine").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("package", ["gas", "baselines", "benchmarks"])
def test_packages_are_typed(package):
    assert (ROOT / package / "py.typed").exists()
