"""Download wheels that a machine without a network may lack for gpu-check. Run by the make target.

Only wheels of pure Python at the locked versions, which fit every version of Python: torch, numpy
and other compiled packages must be there already. Usage: python requirements/wheels.py FOLDER
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent
# What training and the tests import that an environment with torch may not hold.
NAMES = (
    *("filelock", "tqdm", "argcomplete"),
    *("osrl-lib", "gymnasium", "farama-notifications", "jax-jumpy", "cloudpickle"),
    *("pytest", "pluggy", "iniconfig", "packaging", "pygments", "typing-extensions"),
)


def pinned() -> list[str]:
    """Return `NAMES` with the versions of the lock."""
    files = [REQUIREMENTS / name for name in ("lock.txt", "no-deps.txt")]
    lines = [line for file in files for line in file.read_text().splitlines()]
    by_name = {line.partition("==")[0]: line for line in lines if "==" in line}
    return [by_name[name] for name in NAMES]


def main(arguments: list[str]) -> int:
    """Download into the folder named; the exit status."""
    if len(arguments) != 1:
        print("name one folder for the wheels", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--dest", str(folder), *pinned()]
    if subprocess.run(command).returncode:
        return 1
    wheels = list(folder.glob("*.whl"))
    if compiled := [wheel.name for wheel in wheels if not wheel.name.endswith("-none-any.whl")]:
        print(f"not pure Python: {', '.join(compiled)}", file=sys.stderr)
        return 1
    size = sum(wheel.stat().st_size for wheel in wheels) / 2**20
    print(f"{folder}: {len(wheels)} wheels, {size:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
