"""States of torch's default random generators, on the CPU and on a GPU."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def seeded_states(seed: int, device: torch.device) -> dict[str, Tensor]:
    """The states of freshly seeded generators that a method on `device` draws from."""
    states = {"cpu": torch.Generator().manual_seed(seed).get_state()}
    if device.type == "cuda":
        states["cuda"] = torch.Generator(device).manual_seed(seed).get_state()
    return states


def get_states(device: torch.device) -> dict[str, Tensor]:
    """The current states of the default generators."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_states(states: Mapping[str, Tensor]) -> None:
    """Set the default generators to `states`."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
