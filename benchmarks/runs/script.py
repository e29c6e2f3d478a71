"""TorchScript of a policy: its step as a function of the observation and its memory."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from benchmarks.common.errors import UserError
from benchmarks.methods.algorithm import Algorithm, Policy

_CHECKED_STEPS = 60
"""Steps of the episode in which a script is compared with its policy."""
_TOLERANCE = 1e-5
"""Largest difference of an action between a script and its policy."""


class _Memory:
    """The tensors that a policy changes during an episode, as one vector of doubles.

    Doubles hold float32 and whole numbers up to 2^53 exactly.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.names = sorted(name for name, value in vars(policy).items() if torch.is_tensor(value))
        self.values = [getattr(policy, name) for name in self.names]

    def read(self) -> Tensor:
        parts = [getattr(self.policy, name).double().reshape(-1) for name in self.names]
        return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)

    def write(self, vector: Tensor) -> None:
        parts = vector.split([value.numel() for value in self.values]) if self.values else []
        for name, value, part in zip(self.names, self.values, parts, strict=True):
            setattr(self.policy, name, part.reshape(value.shape).to(value.dtype, copy=True))


class _Script(nn.Module):
    """An episode: `act` and `observe` in turns, `reset` before the next one."""

    if TYPE_CHECKING:  # TorchScript cannot read annotations that are text
        initial: Tensor
        memory: Tensor

    def __init__(self, act: Any, observe: Any, memory: Tensor) -> None:
        super().__init__()
        self._act, self._observe = act, observe
        self.register_buffer("initial", memory)
        self.register_buffer("memory", memory.clone())

    def forward(self, observation: Tensor) -> Tensor:
        """The same as `act`."""
        return self.act(observation)

    @torch.jit.export
    def act(self, observation: Tensor) -> Tensor:
        """The action [a] for an observation [o]."""
        action, memory = self._act(observation[None], self.memory)
        self.memory = memory
        return action[0]  # type: ignore[no-any-return]

    @torch.jit.export
    def observe(self, reward: Tensor, cost: Tensor) -> None:
        """Receive the reward and the cost of the last action, tensors of one number."""
        self.memory = self._observe(reward.reshape(1), cost.reshape(1), self.memory)

    @torch.jit.export
    def reset(self) -> None:
        """Begin an episode."""
        self.memory = self.initial.clone()


def scripted(algorithm: Algorithm, limit: float) -> torch.jit.ScriptModule:
    """The policy of `algorithm`, which is on the CPU, at a cost limit as a script.

    Raises `UserError` if the script acts otherwise than the policy.
    """
    limits = torch.tensor([limit], dtype=torch.float32)
    for part in algorithm.parts().values():
        if isinstance(part, nn.Module):
            part.requires_grad_(False).eval()
    policy = algorithm.policy(limits)
    memory, row = _Memory(policy), torch.zeros(1, dtype=torch.long)

    def act(observations: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
        memory.write(vector)
        return policy.act(observations, row).clamp(-1.0, 1.0), memory.read()

    def observe(rewards: Tensor, costs: Tensor, vector: Tensor) -> Tensor:
        memory.write(vector)
        policy.observe(rewards, costs, row)
        # Copied, as a policy without memory would return its argument.
        return memory.read() + 0.0 * (rewards.sum() + costs.sum()).double()

    start = memory.read()
    observation = torch.zeros(1, algorithm.problem.observation_dim)
    number = torch.zeros(1)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of tracing; the check below is stricter
            traced = (
                torch.jit.trace(act, (observation, start), check_trace=False),
                torch.jit.trace(observe, (number, number, start), check_trace=False),
            )
            script: torch.jit.ScriptModule = torch.jit.script(_Script(*traced, start))
        same = _acts_alike(script, algorithm, limits)
    except (RuntimeError, TypeError, AttributeError, KeyError, IndexError):
        same = False
    if not same:
        raise UserError(
            f"{algorithm.name} cannot be exported: its policy is no fixed function of tensors; "
            "use load_policy where this package is installed"
        )
    return script


@torch.no_grad()
def _acts_alike(script: Any, algorithm: Algorithm, limits: Tensor) -> bool:
    """Whether the script acts as the policy in a made-up episode, and in the next one."""
    generator = torch.Generator().manual_seed(0)
    width, row = algorithm.problem.observation_dim, torch.zeros(1, dtype=torch.long)
    for _ in range(2):
        script.reset()
        policy = algorithm.policy(limits)
        for _ in range(min(_CHECKED_STEPS, algorithm.problem.horizon)):
            observation = torch.randn(1, width, generator=generator)
            reward, cost = torch.rand(2, 1, generator=generator)
            expected = policy.act(observation, row).clamp(-1.0, 1.0)[0]
            action = script.act(observation[0])
            if not torch.allclose(action, expected, rtol=0.0, atol=_TOLERANCE):
                return False
            policy.observe(reward, cost, row)
            script.observe(reward, cost)
    return True
