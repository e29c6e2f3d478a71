"""What `run` and `evaluate` are asked for, as typed values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar

from benchmarks.common.errors import UserError
from benchmarks.common.files import is_file_name
from benchmarks.common.ranges import Range, check_ranges
from benchmarks.scheduling.config import EngineConfig

T = TypeVar("T")
Episodes = Annotated[int, Range(1, most=10**6)]
"""Episodes at each limit."""


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
    episodes: Episodes = 10
    """Episodes at each limit."""
    options: tuple[str, ...] = ()
    """Options of methods, each as "gas.alpha=0.9"."""
    updates: Annotated[int, Range(1, most=10**9)] | None = None
    """Number of updates of every method; None for the budget's."""
    evaluate_every: Annotated[int, Range(1, most=10**9)] | None = None
    """Updates between two evaluations during a training; None for none before its end."""
    stage: str = "both"
    cuda_graphs: bool = False
    checkpoint_seconds: Annotated[float, Range(0)] = 60.0
    results: Path = Path("results")
    name: str | None = None
    """Folder of one leaderboard for all suites; None for a leaderboard a suite."""
    skip_missing: bool = False
    retry_failed: bool = False
    dry_run: bool = False
    verbosity: int = 0
    """-1 prints errors and the leaderboards' paths only, 1 also lines of unfinished jobs."""
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
        check_ranges(config, option_name)
        name = config.name
        if name is not None and (not is_file_name(name) or name in ("runs", ".", "..")):
            raise UserError(f"--name {name[:80]!r} is not a plain folder name")
        return config


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """What `benchmarks.evaluate` is asked for; names are not resolved yet."""

    runs: tuple[Path, ...] = ()
    """Folders of runs, or results folders."""
    limits: tuple[str, ...] = ()
    episodes: Episodes = 10
    algorithms: tuple[str, ...] = ()
    """Plugin files that stored runs were trained with."""
    tasks: tuple[str, ...] = ()
    """Task files that stored runs were trained on."""
    video: Path | None = None
    """File for a video of the first episode at each limit."""
    engine: EngineConfig = field(default_factory=EngineConfig)

    @staticmethod
    def of(given: Mapping[str, Any]) -> EvaluateConfig:
        """The configuration with the values that are `given`, defaults for the others."""
        config = build(EvaluateConfig, {**given, "stage": "evaluate"})
        check_ranges(config, option_name)
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


def option_name(field_name: str) -> str:
    """The option on the command line that a field holds."""
    return f"--{field_name.replace('_', '-')}"
