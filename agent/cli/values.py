"""Values of options: each function returns one, or raises ArgumentTypeError."""

import argparse
import os
import re
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from agent.cli.parser import LONGEST_QUOTED, did_you_mean
from agent.words import MOST_RUNS, wrong_with_label

if TYPE_CHECKING:
    from pathlib import Path

    from agent.run.user import User

LONGEST_TIME_S = 10**7
TIME = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)?", re.ASCII)
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)%?", re.ASCII)
LARGEST_SEED = 10**9 - 1


def port(text: str) -> int:
    return _whole_number(text, 0, 65535, "a port is a number from 0 to 65535")


def seed(text: str) -> int:
    return _whole_number(text, 0, LARGEST_SEED, f"a seed is a number from 0 to {LARGEST_SEED}")


def pid(text: str) -> int:
    return _whole_number(text, 1, 2**22, "a pid is a number from 1 to 4194304")


def cgroup(text: str) -> str:
    if not text.startswith("/"):
        raise argparse.ArgumentTypeError(
            f"the path of a cgroup begins with /, not {text[:LONGEST_QUOTED]!r}"
        )
    return text


def time(text: str) -> float:
    """Return seconds; a number without a unit is one of seconds."""
    found = TIME.fullmatch(text)
    seconds = float(found[1]) * SECONDS[found[2] or "s"] if found else -1.0
    if not 0 <= seconds <= LONGEST_TIME_S:
        raise argparse.ArgumentTypeError(
            f"a time is a number with ms, s, m or h, as in 10s, not {text[:LONGEST_QUOTED]!r}"
        )
    return seconds


def deadline(text: str) -> float:
    """Return seconds, more than 0."""
    seconds = time(text)
    if seconds == 0:
        raise argparse.ArgumentTypeError("a deadline is longer than 0 s")
    return seconds


class NamesOf:
    """The parser of a comma-separated list of names, which are looked up only when needed.

    As text (``%(type)s`` in a help) it lists the names ``shown``; by default all.
    """

    def __init__(
        self,
        known: Callable[[], Collection[str]],
        shown: Callable[[], Collection[str]] | None = None,
    ) -> None:
        self._known = known
        self._shown = shown or known

    def __str__(self) -> str:
        return ", ".join(self._shown())

    def __call__(self, text: str) -> list[str]:
        names, known = [name.strip() for name in text.split(",")], self._known()
        for name in names:
            if name not in known:
                hint = did_you_mean(name, list(known))
                raise argparse.ArgumentTypeError(
                    f"there is no {name[:LONGEST_QUOTED]!r}{hint}; known are {', '.join(known)}"
                )
        return names


def path(text: str) -> "Path":
    """Return a path, which may be any."""
    # only here: it takes longer to import than all options, and ``run``'s command waits for that
    from pathlib import Path

    return Path(text)


def url(text: str) -> str:
    from agent.client.urls import address_of, without_password

    try:
        address_of(text.rstrip("/"))
    except ValueError:
        raise argparse.ArgumentTypeError(
            "an agent's URL is http://HOST:PORT, https://HOST:PORT or unix:/PATH, not"
            f" {without_password(text)[:LONGEST_QUOTED]!r}"
        ) from None
    return text


def positive(text: str) -> int:
    return _whole_number(text, 1, 10**9, "must be a number of at least 1")


def runs(text: str) -> int:
    return _whole_number(text, 1, MOST_RUNS, f"must be a number from 1 to {MOST_RUNS}")


def warmups(text: str) -> int:
    return _whole_number(text, 0, MOST_RUNS, f"must be a number from 0 to {MOST_RUNS}")


def percent(text: str) -> float:
    """Return a part of 1: ``1%`` and ``1`` are 0.01."""
    found = PERCENT.fullmatch(text)
    if not found or not 0 < float(found[1]) <= 100:
        raise argparse.ArgumentTypeError(
            f"must be a percentage above 0, as in 1%, not {text[:LONGEST_QUOTED]!r}"
        )
    return float(found[1]) / 100


def _whole_number(text: str, least: int, most: int, wrong: str) -> int:
    # int() also takes "1_000", " 1" and the digits of other scripts.
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(most))
    if not (is_number and least <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"{wrong}, not {text[:LONGEST_QUOTED]!r}")
    return int(text)


def host(text: str) -> str:
    from agent.http.host_names import host_to_bind

    return _host_by(host_to_bind, text)


def allowed_host(text: str) -> str:
    from agent.http.host_names import host_to_allow

    return _host_by(host_to_allow, text)


def _host_by(parse: Callable[[str], str], text: str) -> str:
    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def machine_label(text: str) -> str:
    return _checked_label("the machine label", text)


def run_label(text: str) -> str:
    return _checked_label("a label", text)


def _checked_label(what: str, text: str) -> str:
    if wrong := wrong_with_label(text):
        raise argparse.ArgumentTypeError(f"{what} {wrong}")
    return text


def user(text: str) -> "User":
    """Return the account to run a command as, which only root can."""
    from agent.run.user import user_of

    if os.geteuid() != 0:
        raise argparse.ArgumentTypeError("only root can run a command as another user (sudo)")
    try:
        return user_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}: {text[:LONGEST_QUOTED]!r}") from None


def socket_path(text: str) -> str:
    if not text.startswith("/") or text.endswith("/") or "\0" in text:
        raise argparse.ArgumentTypeError(
            f"the path of a socket begins with / and names a file, not {text[:LONGEST_QUOTED]!r}"
        )
    return text


def file(text: str) -> str:
    """Return the absolute path of a file."""
    if not text or text.endswith("/") or "\0" in text:
        raise argparse.ArgumentTypeError(f"must be a file, not {text[:LONGEST_QUOTED]!r}")
    return os.path.abspath(text)


def folder(text: str) -> str:
    """Return the absolute path of a folder."""
    path = os.path.abspath(text) if text and "\0" not in text else "/"
    if path == "/":
        raise argparse.ArgumentTypeError(
            f"must be a folder of its own, not {text[:LONGEST_QUOTED]!r}"
        )
    return path


class Mode(int):
    """The permissions of a file, which as text are octal."""

    def __str__(self) -> str:
        return f"{self:04o}"


def mode(text: str) -> Mode:
    """Return the permissions of a file, without the bits above them."""
    if not re.fullmatch(r"0?[0-7]{3}", text, re.ASCII):
        raise argparse.ArgumentTypeError(
            f"a mode is three octal digits, as in 0660, not {text[:LONGEST_QUOTED]!r}"
        )
    return Mode(text, 8)
