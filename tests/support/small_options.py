"""Options that make each method small and fast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from benchmarks.methods.names import BUILT_IN
from benchmarks.methods.registry import find_method

COMMON = {
    **{"batch": 16, "cloning_batch": 16, "hidden": 16, "vae_hidden": 16, "width": 16, "blocks": 1},
    **{"embedding_dim": 16, "num_layers": 1, "num_heads": 2, "seq_len": 5, "latent": 4},
}
"""What an option of this name is, in every method that has it."""
OTHERS = {
    "trac": {"batch": 4},
    "presa": {"batch": 4},
    "o3srl": {"arm_updates": 2},
    "voce": {"samples": 2, "improved_samples": 4, "policy_steps": 2},
}
"""What common names do not make small; a new method seldom needs an entry."""


class _Small(Mapping[str, dict[str, Any]]):
    """The small options of each built-in method, which is imported when it is asked for."""

    def __getitem__(self, name: str) -> dict[str, Any]:
        if name not in BUILT_IN:
            raise KeyError(name)
        known = {field.name for field in fields(find_method(name).cls.config_class)}
        common = {option: value for option, value in COMMON.items() if option in known}
        return common | OTHERS.get(name, {})

    def __iter__(self) -> Iterator[str]:
        return iter(BUILT_IN)

    def __len__(self) -> int:
        return len(BUILT_IN)


SMALL = _Small()
