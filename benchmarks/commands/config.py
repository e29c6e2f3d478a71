"""What `run` and `evaluate` are asked for, as typed values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.common.errors import UserError
from benchmarks.scheduling.config import EngineConfig

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Where published data files may be fetched from."""

    mirrors: tuple[str, ...] = ()
    """Web folders that are tried before the published ones."""
    offline: bool = False
    """Do not use the network."""


@dataclass(frozen=True, kw_only=True)
class TrackerConfig:
    """Where losses are logged besides losses.csv."""

    tensorboard: bool = False
    wandb: str | None = None
    """Project of Weights & Biases."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What `benchmarks.run` is asked for; names are not resolved yet."""

    suites: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    """Cost limits: "5%" of the task's maximum cost, or "25"."""
    tasks: tuple[str, ...] = ()
    """Names or task files; empty for those of the suites."""
    algorithms: tuple[str, ...] = ()
    """Methods and variants; empty for those of the suites."""
    budget: str = "auto"
    data: str = "auto"
    seeds: tuple[int, ...] = ()
    """Empty for as many seeds as the budget has."""
    episodes: int = 10
    """Episodes at each limit."""
    options: tuple[str, ...] = ()
    """Options of methods, each as "gas.alpha=0.9"."""
    updates: int | None = None
    """Number of updates of every method; None for the budget's."""
    evaluate_every: int | None = None
    """Updates between two evaluations during a training; None for none before its end."""
    stage: str = "both"
    compile: bool = False
    checkpoint_seconds: float = 60.0
    results: Path = Path("results")
    name: str | None = None
    """Folder of one leaderboard for all suites; None for a leaderboard a suite."""
    skip_missing: bool = False
    retry_failed: bool = False
    dry_run: bool = False
    yes: bool = False
    """Start also what takes longer than a day."""
    save_config: Path | None = None
    """File that the resolved protocol is written to."""
    engine: EngineConfig = field(default_factory=EngineConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    trackers: TrackerConfig = field(default_factory=TrackerConfig)

    @staticmethod
    def of(given: Mapping[str, Any]) -> RunConfig:
        """The configuration with the values that are `given`, defaults for the others."""
        config = build(RunConfig, given)
        if not config.checkpoint_seconds >= 0:
            raise UserError(f"--checkpoint-seconds must not be {config.checkpoint_seconds:g}")
        _require_positive("--episodes", config.episodes)
        if config.updates is not None:
            _require_positive("--updates", config.updates)
        if config.evaluate_every is not None:
            _require_positive("--evaluate-every", config.evaluate_every)
        name = config.name
        if name is not None and (Path(name).name != name or name in ("runs", ".", "..")):
            raise UserError(f"--name {name!r} is not a plain folder name")
        return config


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """What `benchmarks.evaluate` is asked for; names are not resolved yet."""

    runs: tuple[Path, ...] = ()
    """Folders of runs, or results folders."""
    limits: tuple[str, ...] = ()
    episodes: int = 10
    algorithms: tuple[str, ...] = ()
    """Plugin files that stored runs were trained with."""
    tasks: tuple[str, ...] = ()
    """Task files that stored runs were trained on."""
    engine: EngineConfig = field(default_factory=EngineConfig)

    @staticmethod
    def of(given: Mapping[str, Any]) -> EvaluateConfig:
        """The configuration with the values that are `given`, defaults for the others."""
        config = build(EvaluateConfig, {**given, "stage": "evaluate"})
        _require_positive("--episodes", config.episodes)
        return config


_PARTS = {"engine": EngineConfig, "network": NetworkConfig, "trackers": TrackerConfig}


def build(cls: type[T], given: Mapping[str, Any]) -> T:
    """A configuration from flat values; those that no field takes are left out."""
    values: dict[str, Any] = {}
    for one in fields(cls):  # type: ignore[arg-type]
        if one.name in _PARTS and one.type in {part.__name__ for part in _PARTS.values()}:
            values[one.name] = build(_PARTS[one.name], given)
        elif one.name in given:
            values[one.name] = given[one.name]
    return cls(**values)


def _require_positive(option: str, value: int) -> None:
    if value < 1:
        raise UserError(f"{option} must be at least 1, not {value}")
