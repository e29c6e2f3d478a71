"""Which of numpy's kernels compute: generated data are the same where the same ones do."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np


class Features(NamedTuple):
    """Extensions of the processor, by numpy's names."""

    baseline: Collection[str]
    """Those that numpy was built to need."""
    found: Collection[str]
    """The others that the processor has, and that no variable forbids."""


def numpy_features() -> Features:
    """Those of this process."""
    show_config: Any = np.show_config  # numpy 1.26's stubs know no mode
    simd = show_config(mode="dicts")["SIMD Extensions"]
    return Features(simd.get("baseline", ()), simd.get("found", ()))


def common_kernels(baseline: Collection[str], found: Collection[str]) -> dict[str, str]:
    """Environment in which numpy computes alike on every x86 processor with AVX2 and FMA.

    Where AVX-512 is found, numpy and its OpenBLAS take kernels for it, whose sums and functions
    differ in their last bits. Simulators call both (a drone's thrust is a dot product), and so
    make other episodes of them. Empty on a processor without AVX2 and FMA.
    """
    if not {"AVX2", "FMA3"} <= {*baseline, *found}:
        return {}
    wider = sorted(name for name in found if name.startswith("AVX512"))
    return {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": " ".join(wider)}
