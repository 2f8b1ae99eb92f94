"""``merge``: several results from one machine as one."""

import argparse
import json
import sys
from pathlib import Path

from agent.overhead.results import Incomparable, Result, merge
from benchmarks.commands.options import Commands, new_file
from benchmarks.commands.results import show, write


def add(commands: Commands) -> None:
    command = commands.add_parser("merge", help="combine several results from one machine")
    command.add_argument("files", metavar="FILE", nargs="+", type=Path, help="results as JSON")
    command.add_argument("--out", type=new_file, help="write the combined result to this file")
    command.set_defaults(run=_merge)


def _merge(options: argparse.Namespace) -> int:
    try:
        results = [_result(path) for path in options.files]
        result = results[0]
        for other in results[1:]:
            result = merge(result, other)
    except (Incomparable, _Unreadable) as error:
        print(error, file=sys.stderr)
        return 1
    show(result)
    if options.out:
        write(result, options.out)
    return 0


class _Unreadable(Exception):
    """A file holds no results; the text says which file and why."""


def _result(path: Path) -> Result:
    try:
        return Result.from_json(json.loads(path.read_text()))
    except OSError as error:
        raise _Unreadable(f"{path}: {error.strerror}") from error
    except Incomparable as error:
        raise _Unreadable(f"{path}: {error}") from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise _Unreadable(f"{path} holds no results of overhead --out") from error
