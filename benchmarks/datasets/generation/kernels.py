"""Pins CPU kernels of numpy and OpenBLAS for bitwise reproducibility of generated data."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np


class Features(NamedTuple):
    """Extensions of the processor's instruction set, by numpy's names."""

    baseline: Collection[str]
    """Extensions that this build of numpy requires."""
    found: Collection[str]
    """Other extensions that the processor has and no environment variable disables."""


def numpy_features() -> Features:
    """The extensions that numpy uses in this process."""
    show_config: Any = np.show_config  # the type stubs of numpy 1.26 lack `mode`
    simd = show_config(mode="dicts")["SIMD Extensions"]
    return Features(simd.get("baseline", ()), simd.get("found", ()))


def common_kernels(baseline: Collection[str], found: Collection[str]) -> dict[str, str]:
    """Environment variables that make numpy equal on every x86 processor with AVX2 and FMA.

    With AVX-512, numpy and its OpenBLAS use kernels whose results differ in their last bits.
    Simulators call both (a drone's thrust is a dot product), so that their episodes would differ.
    Empty on a processor without AVX2 and FMA.
    """
    if not {"AVX2", "FMA3"} <= {*baseline, *found}:
        return {}
    wider = sorted(name for name in found if name.startswith("AVX512"))
    return {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": " ".join(wider)}
