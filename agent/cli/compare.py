"""``chainbench-agent compare``: compare groups of runs that were kept."""

import argparse

from agent.cli.measuring import add_html_option
from agent.cli.parser import Commands
from agent.cli.values import NamesOf, path, percent, seed, url

STATUS_OF_MISTAKES = 1
"""2 says that optimized is slower."""


def _across() -> tuple[str, ...]:
    from agent.comparison.comparable import ACROSS

    return ACROSS


def add(commands: Commands) -> None:
    compare = commands.add_parser(
        "compare",
        help="compare runs that were kept: which side is faster, by how much, and why",
        usage="%(prog)s [-h] [--across LIST] [--force]\n"
        "       [--min-effect PERCENT] [--seed N] [--all]\n"
        "       [--markdown | --json] [--output FILE] [--html FILE]\n"
        "       [--agent URL]\n"
        "       [--fail-if-slower PERCENT [--strict]]\n"
        "       (BASELINE OPTIMIZED | SERIES | --aa RUNS)",
        description="Compare two groups of runs, and print a report. Each group is the id of a run"
        " or a series, or the beginning of one, as `runs list` prints it; last or last~1; a file of"
        " run --json or of POST /stop; several of these with commas; or labels that gather runs:"
        " commit=abc,variant=numpy. A series of run --baseline --optimized has both groups.",
        epilog="Exit status: 0; 1 if nothing was compared; with --fail-if-slower 2 if optimized is"
        " slower beyond doubt, and with --strict 3 if that is not decided.",
        status_of_mistakes=STATUS_OF_MISTAKES,
    )
    compare.add_argument("groups", nargs="*", metavar="RUNS", help=argparse.SUPPRESS)
    compare.add_argument(
        "--agent",
        metavar="URL",
        type=url,
        help="look for runs that this agent keeps (default: those that this user keeps)",
    )
    compare.add_argument(
        "--aa",
        action="store_true",
        help="compare two halves of one group: how much equal runs differ on this machine",
    )
    compare.add_argument(
        "--across",
        type=NamesOf(_across),
        metavar="LIST",
        default=[],
        help="what differs between the groups on purpose: %(type)s",
    )
    compare.add_argument(
        "--force",
        action="store_true",
        help="compare runs that were not measured alike, and mark the result",
    )
    compare.add_argument(
        "--min-effect",
        type=percent,
        metavar="PERCENT",
        help="smallest difference that matters (default: the one that a series recorded, else 1%%)",
    )
    compare.add_argument(
        "--seed",
        type=seed,
        metavar="N",
        help="seed of the bootstrap, and of the split of --aa (default: the one that a series "
        "recorded, else 1; with --aa: 1)",
    )
    compare.add_argument(
        "--all", action="store_true", help="print also what does not differ, and histograms"
    )
    form = compare.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="print Markdown, for a pull request")
    form.add_argument("--json", action="store_true", help="print everything as JSON")
    compare.add_argument(
        "--output", type=path, metavar="FILE", help="write the report to a file instead"
    )
    add_html_option(compare)
    compare.add_argument(
        "--fail-if-slower",
        type=percent,
        metavar="PERCENT",
        help="exit with status 2 if optimized is slower by more than this beyond doubt",
    )
    compare.add_argument(
        "--strict",
        action="store_true",
        help="with --fail-if-slower: exit with status 3 if that is not decided",
    )
    compare.set_defaults(parser=compare, run=_compare)


def _compare(options: argparse.Namespace) -> int:
    if wrong := _contradiction(options):
        options.parser.error(wrong)
    from agent.compare.command import Request, compare
    from agent.comparison.kept import Asked

    given = {
        name: value
        for name in ("min_effect", "seed")
        if (value := getattr(options, name)) is not None
    }
    forms = [name for name in ("markdown", "json") if getattr(options, name)]
    return compare(
        Request(
            arguments=options.groups,
            asked=Asked(across=options.across, force=options.force, **given),
            is_aa=options.aa,
            form=forms[0] if forms else "text",
            everything=options.all,
            output=options.output,
            html=options.html,
            fail_if_slower=options.fail_if_slower,
            strict=options.strict,
            agent=options.agent,
        )
    )


def _contradiction(options: argparse.Namespace) -> str:
    """Return what is wrong with the options as a whole, or an empty string."""
    groups = len(options.groups)
    rules = {
        "there is nothing to compare: compare BASELINE OPTIMIZED; runs list shows what is kept": (
            groups == 0
        ),
        "--aa takes one group of runs": options.aa and groups > 1,
        f"there are {groups} groups, and two are compared; several runs of one group are one"
        " argument, with commas": groups > 2,
        "--strict needs --fail-if-slower": options.strict and options.fail_if_slower is None,
        "--aa compares equals: --fail-if-slower would say nothing": (
            options.aa and options.fail_if_slower is not None
        ),
        "--json prints everything: --all is for the report": options.json and options.all,
    }
    return next((said for said, applies in rules.items() if applies), "")
