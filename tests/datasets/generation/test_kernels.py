"""Generated data do not depend on which kernels numpy would take on a processor."""

import os
import subprocess
import sys

import pytest

from benchmarks.datasets.generation.kernels import common_kernels, numpy_features

_OF_SHIPPED = """
from dataclasses import replace
from pathlib import Path
import sys
from benchmarks.datasets.generation.rollouts import Recipe, generate
from benchmarks.datasets.trajectories import file_checksum
from benchmarks.tasks.tasks import TASKS

wide = {"min_return": -1e9, "max_return": 1e9}
task = replace(TASKS[sys.argv[1]], horizon=int(sys.argv[2]), **wide)
recipe = Recipe(candidates=32, per_round=20)
print(file_checksum(generate(task, Path(sys.argv[3]), processes=1, recipe=recipe)))
"""


_OLDER = {
    "OPENBLAS_CORETYPE": "Nehalem",
    "NPY_DISABLE_CPU_FEATURES": " ".join(
        name
        for name in numpy_features().found
        if name in ("AVX2", "FMA3") or name.startswith("AVX512")
    ),
}


@pytest.mark.parametrize(
    ("task", "horizon", "other"),
    [
        # the policies' sums, on a processor without FMA: AntCircle's episodes differ soonest
        ("AntCircle", 60, _OLDER),
        # the simulator's own: a drone's thrust is a dot product of numpy's
        pytest.param(
            *("DroneCircle", 200, {"OPENBLAS_CORETYPE": "Prescott"}), marks=pytest.mark.slow
        ),
    ],
)
def test_processors_that_round_differently_make_the_same_file(task, horizon, other, tmp_path):
    """Their sums and functions are stood in for by those that numpy keeps for older ones."""

    def made(changed, folder):
        run = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _OF_SHIPPED, task, str(horizon), folder],
            env=os.environ | changed,
            check=True,
            capture_output=True,
            text=True,
        )
        return run.stdout

    checksum = made({}, tmp_path / "this")
    assert len(checksum) == 65
    assert checksum == made(other, tmp_path / "other")


def test_wider_kernels_are_left_out_where_the_processor_has_them():
    haswell = ["SSSE3", "F16C", "FMA3", "AVX2"]
    assert common_kernels(["SSE"], ["SSSE3", "AVX"]) == {}  # would not run Haswell's
    assert common_kernels(["ASIMD"], []) == {}
    asked = {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": ""}
    assert common_kernels(["SSE"], haswell) == asked
    assert common_kernels(haswell, []) == asked
    asked["NPY_DISABLE_CPU_FEATURES"] = "AVX512F AVX512_SKX"
    assert common_kernels(["SSE"], [*haswell, "AVX512_SKX", "AVX512F"]) == asked
