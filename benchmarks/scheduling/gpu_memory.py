"""Free memory of this machine's GPUs, by NVIDIA's management library (the extra `gpu`).

It is asked for without starting CUDA, which would itself take memory of every GPU.
"""

from __future__ import annotations

import importlib
import os
from typing import Any


class NvmlInventory:
    """An `Inventory` of the GPUs that this process may see."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._handles: dict[str, Any] = {}

    def free(self, place: str) -> int | None:
        """Free bytes of "cuda:0", "cuda:1" and so on; None if the driver does not say."""
        try:
            if place not in self._handles:
                self._handles[place] = self._find(int(place.removeprefix("cuda:")))
            return int(self._library.nvmlDeviceGetMemoryInfo(self._handles[place]).free)
        except (self._library.NVMLError, ValueError, IndexError):
            return None

    def _find(self, number: int) -> Any:
        """The handle of a GPU by its number among those visible, which has its own order."""
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        name = visible.split(",")[number].strip() if visible else str(number)
        if name.isdigit():
            return self._library.nvmlDeviceGetHandleByIndex(int(name))
        return self._library.nvmlDeviceGetHandleByUUID(name)


def open_inventory() -> NvmlInventory | None:
    """The inventory; None where the library or a driver is missing."""
    try:
        library = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        library.nvmlInit()
    except library.NVMLError:
        return None
    return NvmlInventory(library)
