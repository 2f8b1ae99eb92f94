"""The options of ``run`` for commands that run again and again."""

import argparse

from agent.cli.values import LARGEST_SEED, path, percent, runs, seed, warmups
from agent.client.shell_words import operator_in
from agent.nouns import counted
from agent.run.series_plan import (
    BASELINE,
    COMMAND,
    MIN_EFFECT,
    OPTIMIZED,
    PAIRS,
    Helpers,
    SeriesPlan,
    words_of,
)
from agent.terminal.output import complain
from agent.terminal.values import printable

MOST_UNTIL = 100
"""Maximum number of runs of a series that continues until its interval is narrow enough."""
STARTS = ("runs", "until", "baseline", "optimized")
HELPERS = ("setup", "prepare", "conclude", "cleanup")
OF_A_SERIES = (
    *("warmup", "max_runs", "min_effect", "seed", *HELPERS),
    *("ignore_failure", "show_output", "shell", "export_json"),
)


def add_series_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "repeated runs", "The output of the commands is discarded, and their input is /dev/null."
    )
    group.add_argument("--runs", type=runs, metavar="N", help="run the command N times")
    group.add_argument(
        "--until",
        type=percent,
        metavar="PERCENT",
        help="run it until half of the median's 95 %% interval is at most this, for example 1%%",
    )
    group.add_argument(
        "--max-runs",
        type=runs,
        metavar="N",
        help=f"with --until: maximum number of runs (default: {MOST_UNTIL})",
    )
    group.add_argument(
        "--warmup",
        type=warmups,
        metavar="N",
        help="runs to make first, which do not count (default: 0)",
    )
    group.add_argument(
        "--baseline", metavar="LINE", help="compare two commands in pairs: the first of them"
    )
    group.add_argument(
        "--optimized",
        metavar="LINE",
        help=f"the second; --runs is the number of pairs (default: {PAIRS})",
    )
    group.add_argument(
        "--min-effect",
        type=percent,
        metavar="PERCENT",
        help="smallest difference that matters (default: 1%%)",
    )
    group.add_argument(
        "--seed", type=seed, metavar="N", help="seed of the order within pairs (default: random)"
    )
    group.add_argument("--setup", metavar="LINE", help="command to run once, before all others")
    group.add_argument("--prepare", metavar="LINE", help="command to run before each run")
    group.add_argument("--conclude", metavar="LINE", help="command to run after each run")
    group.add_argument("--cleanup", metavar="LINE", help="command to run once, at the end")
    group.add_argument(
        "--ignore-failure",
        action="store_true",
        help="continue after a run that fails, and count it",
    )
    group.add_argument("--show-output", action="store_true", help="do not discard the output")
    group.add_argument(
        "--shell",
        metavar="SHELL",
        help="run each command by SHELL -c LINE (default: without a shell, split into words)",
    )
    group.add_argument(
        "--export-json", type=path, metavar="FILE", help="save the times as hyperfine does"
    )


def plan_of(options: argparse.Namespace) -> SeriesPlan | None:
    """Return what to run again and again; None for one run. Exits if options contradict."""
    starts = [name for name in STARTS if getattr(options, name) is not None]
    if not starts:
        given = (name for name in OF_A_SERIES if getattr(options, name) not in (None, False))
        if name := next(given, None):
            options.parser.error(f"{_option(name)} needs --runs, --until or --baseline")
        return None
    if wrong := _contradiction(options):
        options.parser.error(wrong)
    most = options.max_runs or MOST_UNTIL if options.until is not None else options.runs or PAIRS
    if options.baseline is not None and most < PAIRS and not options.quiet:
        complain(f"chainbench-agent run: {_too_few(most)}\n")
    return SeriesPlan(
        sides=_sides(options),
        most=most,
        seed=_any_seed() if options.seed is None else options.seed,
        until=options.until,
        warmup=options.warmup or 0,
        min_effect=MIN_EFFECT if options.min_effect is None else options.min_effect,
        helpers=Helpers(**{name: _words(options, name) for name in HELPERS}),
        ignore_failure=options.ignore_failure,
        show_output=options.show_output,
        export_json=options.export_json,
    )


def _too_few(pairs: int) -> str:
    """Return what so few pairs cannot show, before they are made: the report would say it late."""
    from agent.show.amounts import FEWEST

    of_time = f"a 95 % interval takes {FEWEST}, and " if pairs < FEWEST else ""
    return (
        f"{counted(pairs, 'pair')}: {of_time}to test most figures of the table takes about {PAIRS}"
    )


def _any_seed() -> int:
    import secrets

    return secrets.randbelow(LARGEST_SEED + 1)


def _contradiction(options: argparse.Namespace) -> str:
    """Return what is wrong with the options as a whole, or an empty string."""
    compares = options.baseline is not None
    rules = {
        "--baseline and --optimized go together": compares != (options.optimized is not None),
        "the commands are --baseline and --optimized: none comes after --": (
            compares and options.workload
        ),
        "there is no command: run --runs N -- COMMAND": not compares and not options.workload,
        "--runs and --until exclude each other": (
            options.runs is not None and options.until is not None
        ),
        "--max-runs needs --until": options.max_runs is not None and options.until is None,
        "--seed needs --baseline": options.seed is not None and not compares,
        "--scenario is baseline or optimized in a comparison": (
            compares and options.scenario is not None
        ),
        "with --shell the command is one word: -- 'LINE'": (
            options.shell is not None and len(options.workload) > 1
        ),
        "--shell needs the name of one": options.shell is not None and not options.shell.strip(),
    }
    return next((said for said, applies in rules.items() if applies), "")


def _sides(options: argparse.Namespace) -> dict[str, list[str]]:
    if options.baseline is not None:
        return {name: _words(options, name) for name in (BASELINE, OPTIMIZED)}
    if options.shell is not None:
        return {COMMAND: words_of(options.workload[0], options.shell)}
    return {COMMAND: options.workload}


def _words(options: argparse.Namespace, name: str) -> list[str]:
    line = getattr(options, name)
    if line is None:
        return []
    try:
        words = words_of(line, options.shell)
    except ValueError as error:
        raise options.parser.error(f"{_option(name)}: {error}") from None
    if options.shell is None and (operator := operator_in(line)):
        complain(
            f"chainbench-agent run: {_option(name)}: no shell runs it, so {printable(operator)} is"
            " a word like any other; to have one: --shell sh\n"
        )
    return words


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
