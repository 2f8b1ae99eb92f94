"""``chainbench-agent runs``: what is kept, listed, shown, exchanged and deleted."""

import argparse
import math
import re
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.parser import LONGEST_QUOTED, Commands
from agent.cli.values import url

if TYPE_CHECKING:
    from agent.runs.which import Wanted

SIZE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(K|M|G|T)?", re.ASCII)
BYTES = {None: 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
NO_LIMIT = "none"
OF_AN_AGENT = ("list", "show", "export", "delete")
"""What can be done with the runs that a service keeps; the rest is for who owns its file."""
WHICH = "id, its beginning, last, last~1, or a selector: commit=abc,variant=numpy"


def add(commands: Commands) -> None:
    runs = commands.add_parser(
        "runs",
        help="list, show, export, import and delete the runs that are kept",
        description="The runs that chainbench-agent run has kept, or that were imported.",
        epilog="A series is one entry: it is listed in one line, and deleted as a whole.",
    )
    actions = runs.add_subparsers(dest="action", metavar="ACTION")
    runs.set_defaults(parser=runs, run=partial(_no_action, actions.choices))
    listed = _action(actions, "list", "list them, the newest first", _list)
    listed.add_argument("which", nargs="*", metavar="SELECTOR", help="commit=abc,verdict=complete")
    _add_times(listed)
    listed.add_argument(
        "--limit", type=_number, metavar="N", help="lines at most; 0: all (default: 30)"
    )
    listed.add_argument("--json", action="store_true", help="print all that is known of each run")
    shown = _action(actions, "show", "print one as show prints its file", _show)
    shown.add_argument("which", metavar="WHICH", help=f"{WHICH}, if one has all of that")
    shown.add_argument("--all", action="store_true", help="also print every other field")
    exported = _action(actions, "export", "write them as files for show, compare, import", _export)
    exported.add_argument("which", nargs="*", metavar="WHICH", help=WHICH)
    _add_times(exported)
    target = exported.add_mutually_exclusive_group()
    target.add_argument("--output", type=Path, metavar="FILE", help="write to a file")
    target.add_argument("--into", type=Path, metavar="FOLDER", help="write a file for each")
    deleted = _action(actions, "delete", "delete them without asking", _delete)
    deleted.add_argument("which", nargs="*", metavar="WHICH", help=WHICH)
    _add_times(deleted)
    imported = _action(actions, "import", "keep runs of files: evidence or series", _import)
    imported.add_argument("files", nargs="+", metavar="FILE", help="- for standard input")
    limits = _action(actions, "limits", "print or set how much is kept", _limits)
    limits.add_argument("--days", type=_days, metavar="N", help="days since it was kept, or none")
    limits.add_argument("--runs", type=_runs, metavar="N", help="number of runs, or none")
    limits.add_argument("--size", type=_size, metavar="SIZE", help="as in 500M or 1G, or none")


def _no_action(known: Collection[str], options: argparse.Namespace) -> int:
    raise options.parser.error(f"there is no action; the actions are {', '.join(known)}")


def _action(
    actions: Any, name: str, what: str, do: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(
        name, help=what, description=what[0].upper() + what[1:] + "."
    )
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--store", type=_file, metavar="FILE", help="another file than this user's")
    if name in OF_AN_AGENT:
        place.add_argument(
            "--agent", type=url, action=_Once, metavar="URL", help="runs that this agent keeps"
        )
    else:
        refuse = partial(_not_of_an_agent, name)
        place.add_argument("--agent", type=refuse, help=argparse.SUPPRESS)
    parser.set_defaults(parser=parser, run=_run, do=do)
    return parser


class _Once(argparse.Action):
    """An option that does not take the place of an earlier one of its name."""

    def __call__(
        self, parser: argparse.ArgumentParser, options: argparse.Namespace, value: Any, *_: object
    ) -> None:
        if getattr(options, self.dest) is not None:
            raise argparse.ArgumentError(self, "there can be one only")
        setattr(options, self.dest, value)


def _file(text: str) -> Path:
    """Return the path of a file, which has a name."""
    path = Path(text)
    if not path.name:
        raise argparse.ArgumentTypeError(f"{text[:LONGEST_QUOTED]!r} is not the name of a file")
    return path


def _not_of_an_agent(action: str, _: str) -> None:
    """Refuse with words what a reader of the other actions may expect to work."""
    raise argparse.ArgumentTypeError(
        f"only list, show, export and delete ask an agent: {action} as the user who owns the"
        " agent's folder, with --store DIR/runs.db"
    )


def _add_times(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--since", type=_moment, metavar="TIME", help="not before: an age (7d) or date (2026-03-01)"
    )
    parser.add_argument("--until", type=_moment, metavar="TIME", help="before that time")


def _run(options: argparse.Namespace) -> int:
    """Run an action; return 1, and say why, if it cannot be done."""
    from agent.store.errors import StoreError, require_sqlite
    from agent.terminal import output as terminal
    from agent.terminal.values import printable

    try:
        require_sqlite()
        return int(options.do(options))
    except StoreError as error:
        terminal.complain(f"chainbench-agent runs {options.action}: {printable(error, 1000)}\n")
        return 1


def _path(options: argparse.Namespace) -> Path:
    from agent.store.place import default_path

    return options.store or default_path()


def _wanted(options: argparse.Namespace) -> "Wanted":
    from agent.runs.which import Wanted

    return Wanted(options.which, options.since, options.until)


def _named(options: argparse.Namespace) -> "Wanted":
    """Return what is wanted; naming nothing is a mistake, and does not mean all."""
    if not options.which and options.since is None and options.until is None:
        options.parser.error("which runs? Give ids or selectors: runs list shows them")
    return _wanted(options)


def _list(options: argparse.Namespace) -> int:
    chosen = (_wanted(options), options.limit, options.json)
    if options.agent is not None:
        from agent.runs import agent_commands

        return agent_commands.list_runs(options.agent, *chosen)
    from agent.runs.commands import list_runs

    return list_runs(_path(options), *chosen)


def _show(options: argparse.Namespace) -> int:
    if options.agent is not None:
        from agent.runs import agent_commands

        return agent_commands.show_run(options.agent, options.which, options.all)
    from agent.runs.commands import show_run

    return show_run(_path(options), options.which, options.all)


def _export(options: argparse.Namespace) -> int:
    chosen = (_named(options), options.output, options.into)
    if options.agent is not None:
        from agent.runs import agent_commands

        return agent_commands.export_runs(options.agent, *chosen)
    from agent.runs.commands import export_runs

    return export_runs(_path(options), *chosen)


def _delete(options: argparse.Namespace) -> int:
    wanted = _named(options)
    if options.agent is not None:
        from agent.runs import agent_commands

        return agent_commands.delete_runs(options.agent, wanted)
    from agent.runs.commands import delete_runs

    return delete_runs(_path(options), wanted)


def _import(options: argparse.Namespace) -> int:
    from agent.runs.commands import import_files

    return import_files(_path(options), options.files)


def _limits(options: argparse.Namespace) -> int:
    from agent.runs.commands import show_limits

    given = {"days": options.days, "runs": options.runs, "bytes": options.size}
    changes = {name: value for name, value in given.items() if value is not None}
    return show_limits(_path(options), changes)


def _moment(text: str) -> float:
    from agent.runs.which import moment

    return moment(text)


def _number(text: str) -> int:
    return int(_at_least(0, text))


def _days(text: str) -> float:
    return math.inf if text == NO_LIMIT else _at_least(1, text)


def _runs(text: str) -> float:
    return math.inf if text == NO_LIMIT else _at_least(1, text)


def _at_least(least: int, text: str) -> float:
    is_number = text.isascii() and text.isdecimal() and len(text) <= 9
    if not is_number or int(text) < least:
        raise argparse.ArgumentTypeError(
            f"must be a number of at least {least}, not {text[:LONGEST_QUOTED]!r}"
        )
    return float(text)


def _size(text: str) -> float:
    if text == NO_LIMIT:
        return math.inf
    found = SIZE.fullmatch(text)
    if not found or float(found[1]) == 0:
        raise argparse.ArgumentTypeError(
            f"a size is a number with K, M, G or T, as in 500M, not {text[:LONGEST_QUOTED]!r}"
        )
    return float(found[1]) * BYTES[found[2]]
