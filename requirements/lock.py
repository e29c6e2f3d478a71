"""Write the lock files: what pip resolves today for pyproject.toml. Run by `make lock`.

requirements/lock.txt holds the project's dependencies with two of its extras and its build backend,
requirements/docs.txt what builds the documentation. Both are for the Python and the platform that
run this. Nothing is installed. `make lock ARGS=docs.txt` writes one of them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The one torch that both the index of CPU builds and the index of CUDA builds can serve.
HELD = ["torch==2.13.0"]
# A CUDA build of torch pins these itself; a CPU build has none of them.
CUDA = ("cuda-", "nvidia-", "triton")
# Extras that `make setup` installs; the others are for clusters, GPUs and loggers that few have.
EXTRAS = ("simulators", "test")
HEADERS = {
    "lock.txt": """\
# All that `make setup` installs but the three in no-deps.txt. Made by `make lock`, not by hand.
# torch has no local tag and no CUDA packages are listed: the same lines take a CPU build or a CUDA
# build, whichever the package index offers.
""",
    "docs.txt": """\
# All that `make docs` installs, into an environment of its own. Made by `make lock`, not by hand.
""",
}
"""The first lines of each lock file."""


def requested(lock: str) -> list[str]:
    """Return the requirements of pyproject.toml that a lock file pins."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = table["project"]["optional-dependencies"]
    if lock == "docs.txt":
        return list(extras["docs"])
    asked = [line for extra in EXTRAS for line in extras[extra]]
    return [*table["build-system"]["requires"], *table["project"]["dependencies"], *asked, *HELD]


def resolve(requirements: list[str]) -> dict[str, str]:
    """Return name -> version of all that pip would install for `requirements`."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "-qq"]
    command += ["--report", "-", *requirements]
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    packages = [item["metadata"] for item in report["install"]]
    return {
        re.sub(r"[-_.]+", "-", package["name"]).lower(): package["version"].partition("+")[0]
        for package in packages
    }


def main(locks: Sequence[str]) -> None:
    """Resolve and write the lock files named, or all."""
    for lock in locks or HEADERS:
        versions = resolve(requested(lock))
        lines = [
            f"{name}=={version}\n"
            for name, version in sorted(versions.items())
            if not name.startswith(CUDA)
        ]
        (ROOT / "requirements" / lock).write_text(HEADERS[lock] + "".join(lines))
        print(f"requirements/{lock}: {len(lines)} packages")


if __name__ == "__main__":
    main(sys.argv[1:])
