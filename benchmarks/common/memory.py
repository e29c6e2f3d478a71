"""The memory that is left to this process, by the machine, its container and its own limits."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path

from benchmarks.common.cgroups import free_memory
from benchmarks.common.hardware import available_cores

_RESERVE = 300 * 2**20
"""Bytes that stay free for everything else."""
_NO_LIMIT = 2**60


class MemoryWatch:
    """Tells whether more things of one kind fit, by what those built since have taken.

    One process a core is assumed to share the machine's memory.
    """

    def __init__(self) -> None:
        self._sizes, self._count = _sizes(), 1

    def room_for(self, new: int, built: int) -> bool:
        """Whether `new` more fit; `built` are there, one of which was there before the watch."""
        if built <= self._count:
            return True  # nothing was seen yet
        grown = [now - then for now, then in zip(_sizes(), self._sizes, strict=True)]
        resident, virtual = (max(one, 0) * new / (built - self._count) for one in grown)
        return (
            resident + _RESERVE < machine_memory() / available_cores()
            and virtual + _RESERVE < _address_space()
        )


def machine_memory() -> int:
    """Bytes that processes can still take: of the machine, or of the container if that is less."""
    free = [_NO_LIMIT]
    with suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    if (contained := free_memory()) is not None:
        free.append(contained)
    return min(free)


def _address_space() -> int:
    """Bytes of address space that this process can still take."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return _NO_LIMIT if limit == resource.RLIM_INFINITY else limit - _sizes()[1]


def _sizes() -> tuple[int, int]:
    """Bytes of this process in memory and of its address space; zeros where unknown."""
    with suppress(OSError, ValueError, IndexError):
        total, resident = Path("/proc/self/statm").read_text().split()[:2]
        page = os.sysconf("SC_PAGE_SIZE")
        return int(resident) * page, int(total) * page
    return 0, 0
