"""The options of the commands: one parser, and the groups that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.commands import lists
from benchmarks.common.errors import UserError, unknown_name
from benchmarks.methods.names import known_names
from benchmarks.scheduling.config import ENGINES, EngineConfig
from benchmarks.tasks.tasks import ALL_TASKS

FLAG = argparse.BooleanOptionalAction
"""An option that is set by `--name` and taken back by `--no-name`."""


class Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, as `UserError`, and suggests the nearest option."""

    def __init__(self, **given: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **given)

    def error(self, message: str) -> Any:
        """Raise the `UserError` that stands for a mistake in the arguments."""
        raise UserError(f"{message} ({self.prog} --help shows what there is)")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, but an option that does not exist is refused at once."""
        namespace, unknown = super().parse_known_args(args, namespace)
        for word in unknown:
            if word.startswith("--"):
                name = word.partition("=")[0]
                raise unknown_name("option", name, [f"--{one}" for one in option_names(self)])
        return namespace, unknown

    def given(self, words: Sequence[str]) -> dict[str, Any]:
        """What `words` give, and nothing of what they leave to defaults."""
        # argparse fills in defaults only where the namespace has no such attribute yet
        blank = {action.dest: None for action in self._actions if action.dest != "help"}
        found = self.parse_args(words, argparse.Namespace(**blank))
        return {name: value for name, value in vars(found).items() if value not in (None, [])}


def option_names(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """The long options of a parser, without dashes; aliases and `--no-…` left out."""
    found: dict[str, argparse.Action] = {}
    for action in parser._actions:
        long = [one[2:] for one in action.option_strings if one.startswith("--")]
        if long and action.help != argparse.SUPPRESS:
            found[long[0]] = action
    return found


def examples(*lines: str) -> str:
    """The end of a help text."""
    return "\n".join(["examples:", *(f"  {line}" for line in lines)])


def completed(action: argparse.Action, names: Iterable[str]) -> None:
    """Let the shell complete the values of an option by `names`."""
    action.completer = lambda **_: list(names)  # type: ignore[attr-defined]


def add_tasks(group: Any, **given: Any) -> None:
    """Declare --tasks."""
    action = group.add_argument(
        "--tasks", action=lists.ListAction, split=lists.names, metavar="TASK", **given
    )
    completed(action, ALL_TASKS)


def add_algorithms(group: Any, **given: Any) -> None:
    """Declare --algorithms."""
    action = group.add_argument(
        "--algorithms", action=lists.ListAction, split=lists.methods, **given
    )
    completed(action, [*known_names(), "paper", "all"])


def add_limits(group: Any, **given: Any) -> None:
    """Declare --limits."""
    group.add_argument(
        "--limits", action=lists.ListAction, split=lists.names, metavar="LIMIT", **given
    )


def add_episodes(group: Any, default: int) -> None:
    """Declare --episodes."""
    group.add_argument(
        "--episodes",
        type=int,
        metavar="N",
        help=f"number of episodes evaluated at each limit; default: {default}",
    )


def add_engine(parser: argparse.ArgumentParser, *, seeds: bool) -> None:
    """Declare --engine and what belongs to it; --seeds-per-job where `seeds` are trained."""
    group = parser.add_argument_group("where and how jobs run")
    group.add_argument(
        "--engine",
        choices=tuple(ENGINES),
        help="this machine, a Ray cluster or Slurm; default: local",
    )
    group.add_argument(
        "--device",
        metavar="DEVICE",
        help="auto, cpu, cuda (all GPUs) or cuda:0; auto, the default, trains on GPUs if there are "
        "any and evaluates stored policies on the CPU",
    )
    group.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes at a time; default: one per core, on a GPU as many as its memory allows",
    )
    group.add_argument(
        "--timeout",
        type=float,
        metavar="MINUTES",
        help="a job that takes longer counts as failed; default: no limit",
    )
    group.add_argument("--address", help="address of the Ray cluster; default: auto")
    group.add_argument(
        "--gpu-share",
        type=float,
        metavar="FRACTION",
        help="GPU fraction per training on a cluster; "
        f"default: {EngineConfig.gpu_share:g}, training on CPUs",
    )
    group.add_argument(
        "--slurm",
        action=lists.ListAction,
        split=lambda word, option: [word],
        extend=True,
        metavar="KEY=VALUE",
        help="options of Slurm jobs, such as partition=gpu",
    )
    if seeds:
        group.add_argument(
            "--seeds-per-job",
            type=int,
            metavar="N",
            help="most seeds that one process trains as one, for methods that support it; "
            "default: 8 on a GPU, otherwise 1",
        )
        group.add_argument("--together", type=int, dest="seeds_per_job", help=argparse.SUPPRESS)


def add_network(parser: argparse.ArgumentParser) -> None:
    """Declare --mirror and --offline."""
    group = parser.add_argument_group("published data")
    group.add_argument(
        "--mirror",
        action=lists.ListAction,
        split=lambda word, option: [word],
        extend=True,
        dest="mirrors",
        metavar="URL",
        help="web folders with DSRL files, tried before the others",
    )
    group.add_argument(
        "--offline",
        action=FLAG,
        help="do not use the network; OSRL_BENCH_OFFLINE=1 does the same",
    )


def add_trackers(parser: argparse.ArgumentParser) -> None:
    """Declare --tensorboard and --wandb."""
    group = parser.add_argument_group("logging")
    group.add_argument(
        "--tensorboard",
        action=FLAG,
        help="also write losses for TensorBoard into each run's folder",
    )
    group.add_argument("--wandb", metavar="PROJECT", help="also send losses to Weights & Biases")
