"""Free memory of this machine's GPUs, from NVIDIA's management library (the extra `gpu`).

CUDA itself is not started, as it would allocate memory on every GPU.
"""

from __future__ import annotations

import importlib
import os
from typing import Any


class NvmlInventory:
    """An `Inventory` of the GPUs that are visible to this process."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._handles: dict[str, Any] = {}

    def free(self, device: str) -> int | None:
        """Free bytes of "cuda:0", "cuda:1" and so on; None if the driver cannot tell."""
        try:
            if device not in self._handles:
                self._handles[device] = self._open(int(device.removeprefix("cuda:")))
            return int(self._library.nvmlDeviceGetMemoryInfo(self._handles[device]).free)
        except (self._library.NVMLError, ValueError, IndexError):
            return None

    def _open(self, number: int) -> Any:
        """The handle of a GPU by its index in CUDA_VISIBLE_DEVICES, else by its own number."""
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        name = visible.split(",")[number].strip() if visible else str(number)
        if name.isdigit():
            return self._library.nvmlDeviceGetHandleByIndex(int(name))
        return self._library.nvmlDeviceGetHandleByUUID(name)


def open_inventory() -> NvmlInventory | None:
    """The inventory; None if the library or the driver is missing."""
    try:
        library = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        library.nvmlInit()
    except library.NVMLError:
        return None
    return NvmlInventory(library)
