"""`python -m benchmarks.run`: train, evaluate, and rank, in one command."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.commands import lists, protocol
from benchmarks.commands.config import RunConfig
from benchmarks.commands.options import (
    FLAG,
    Parser,
    add_algorithms,
    add_engine,
    add_episodes,
    add_limits,
    add_network,
    add_tasks,
    add_trackers,
    completed,
    examples,
)
from benchmarks.common.errors import exit_status
from benchmarks.common.files import user_path
from benchmarks.common.program import as_program
from benchmarks.methods.names import BUILT_IN
from benchmarks.methods.variants import split
from benchmarks.tasks.suites import BUDGETS, RIVALS, SEEDS, SUITES

PROGRAM = "python -m benchmarks.run"


def add_arguments(parser: Parser) -> None:
    """Declare the options of the command."""
    parser.description = "Train, evaluate in the simulators, and rank offline safe RL methods."
    parser.epilog = examples(
        f"{parser.prog} --suite tight --dry-run",
        f"{parser.prog} --suite tight,loose --algorithms gas,cdt --seeds 0-4",
        f"{parser.prog} --limits 5% 25 --tasks BallRun --option gas.alpha=0.9",
        f"{parser.prog} --suite tight --save-config protocol.toml",
        f"{parser.prog} --config protocol.toml --results elsewhere",
    )
    _add_protocol(parser)
    _add_work(parser)
    add_network(parser)
    add_engine(parser, seeds=True)
    add_trackers(parser)


def _add_protocol(parser: Parser) -> None:
    group = parser.add_argument_group("what is measured")
    suite = group.add_argument(
        "--suite",
        action=lists.ListAction,
        split=lists.names,
        extend=True,
        dest="suites",
        metavar="SUITE",
        help="; ".join(f"{name}: {suite.shows}" for name, suite in SUITES.items()),
    )
    completed(suite, SUITES)
    add_limits(group, help="cost limits of your own: 5%% of the task's maximum cost, or 25")
    add_tasks(
        group,
        help="any task of DSRL, or a task file of your own, path/to/task.toml; default: the tasks "
        "of the suite, else the twelve",
    )
    add_algorithms(
        group,
        metavar="METHOD",
        help=f"{', '.join(BUILT_IN)}, a plugin's name, or path/to/file.py:Class; paper names the "
        "nine methods of the GAS paper, all every method; "
        "gas@alpha=0.9,mask=false is a variant with a row of its own; default: the methods of the "
        f"suite, else {' '.join(RIVALS)}",
    )
    budget = group.add_argument(
        "--budget",
        help="; ".join(f"{name}: {what}" for name, what in BUDGETS.items())
        + "; default: paper with a GPU, quick without",
    )
    completed(budget, BUDGETS)
    data = group.add_argument(
        "--data",
        help="generated, dsrl, a folder of DSRL files, or auto, the default: dsrl where every file "
        "is present or can be fetched, otherwise generated",
    )
    completed(data, ("auto", "generated", "dsrl"))
    group.add_argument(
        "--seeds",
        action=lists.ListAction,
        split=lists.seeds,
        metavar="SEED",
        help="as 0 1 2, 0,1,2 or 0-4; default: as many as the budget has "
        f"({', '.join(f'{name}: {count}' for name, count in SEEDS.items())})",
    )
    add_episodes(group, RunConfig.episodes)
    group.add_argument(
        "--option",
        action=lists.ListAction,
        split=lambda word, option: [word],
        extend=True,
        dest="options",
        metavar="METHOD.OPTION=VALUE",
        help="override one option of one method, as gas.alpha=0.9; `osrl-bench methods NAME` lists "
        "a method's options",
    )
    group.add_argument(
        "--updates", type=int, metavar="N", help="updates of every method, instead of the budget's"
    )
    group.add_argument(
        "--evaluate-every",
        type=int,
        metavar="N",
        help="evaluate also during trainings, every N updates, for learning curves of reward and "
        "cost; the ranking is by the last evaluation",
    )
    group.add_argument(
        "--cuda-graphs",
        action=FLAG,
        help="on GPUs, replay the updates of methods that allow it",
    )
    group.add_argument(
        "--config",
        type=user_path,
        metavar="FILE",
        help="take options from a protocol, a TOML file; the command line overrides it",
    )
    group.add_argument(
        "--save-config", type=user_path, metavar="FILE", help="write what is measured as a protocol"
    )


def _add_work(parser: Parser) -> None:
    group = parser.add_argument_group("results and progress")
    group.add_argument(
        "--results", type=user_path, metavar="FOLDER", help=f"default: {RunConfig.results}"
    )
    group.add_argument(
        "--name", help="folder of the leaderboard in --results; default: the suite's name"
    )
    group.add_argument(
        "--stage", choices=("both", "train", "evaluate"), help="what to do; default: both"
    )
    volume = group.add_mutually_exclusive_group()
    for short, long, value, text in (
        ("-q", "--quiet", -1, "print errors and the paths of the leaderboards only"),
        ("-v", "--verbose", 1, "print also what unfinished jobs do; each has a log.txt as well"),
    ):
        volume.add_argument(
            short, long, action="store_const", const=value, dest="verbosity", help=text
        )
    group.add_argument("--dry-run", action="store_const", const=True, help="print the plan, stop")
    group.add_argument(
        "--yes",
        action="store_const",
        const=True,
        help="start a run of more than a day without a question",
    )
    group.add_argument("--retry-failed", action=FLAG, help="run failed jobs again")
    group.add_argument("--skip-missing", action=FLAG, help="leave out tasks that have no data")
    group.add_argument(
        "--checkpoint-seconds",
        type=float,
        metavar="S",
        help="time between two checkpoints of a training, which resumes from the last; "
        f"default: {RunConfig.checkpoint_seconds:g}",
    )


def parser(program: str = PROGRAM) -> Parser:
    """The command line."""
    made = Parser(prog=program)
    add_arguments(made)
    return made


def configure(words: Sequence[str], program: str = PROGRAM) -> RunConfig:
    """The configuration that a command line asks for, with the protocol that it names."""
    made = parser(program)
    given = made.given(words)
    if "config" in given:
        given = {**_narrowed(protocol.read(given["config"], made), given), **given}
    return RunConfig.of(given)


def _narrowed(file: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What a protocol gives, without options of methods that the command line leaves out."""
    chosen = {split(spec)[0] for spec in given.get("algorithms", ())}
    if not chosen or not chosen <= BUILT_IN.keys():  # groups and plugins have other names
        return file
    options = tuple(word for word in file.get("options", ()) if word.partition(".")[0] in chosen)
    return {**file, "options": options}


def main(arguments: Sequence[str] | None = None, program: str = PROGRAM) -> int:
    """Entry point; 0 if all went well, 1 if a job failed, 2 for wrong input, 130 for Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return exit_status(lambda: _run(words, program))


def _run(words: Sequence[str], program: str) -> int:
    config = configure(words, program)
    # these import torch and pandas, which takes seconds
    from benchmarks.commands.running import run
    from benchmarks.runs.provenance import command_line

    return run(config, command_line(words, program))


if __name__ == "__main__":
    as_program(main)
