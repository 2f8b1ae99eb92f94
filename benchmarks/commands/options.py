"""Options that several commands have, and how they tell what they do."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def positive(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) >= 1):
        raise argparse.ArgumentTypeError("must be a whole number, at least 1")
    return int(text)


def new_file(text: str) -> Path:
    """Refuse a path that cannot be written before the measurement rather than after it."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a directory, or is in one that does not exist")
    return path


def add_against(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--against",
        type=Path,
        metavar="PATH",
        help="another checkout; its agent and this one are measured alternately",
    )


def add_choice(
    command: argparse.ArgumentParser, kind: str, names: Sequence[str], which: str
) -> None:
    command.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar=kind,
        choices=names,
        help=f"{which}: {', '.join(names)}",
    )


def tell(text: str) -> None:
    print(text, file=sys.stderr)
