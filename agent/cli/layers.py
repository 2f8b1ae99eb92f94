"""Settings from three layers: the command line, the environment, and a file, in this order.

The first layer that has an option decides it. An option needs nothing for that: its variable is its
name in capitals (``--data-dir`` is ``CHAINBENCH_DATA_DIR``), its key in the file is its name
(``data-dir = "/var/lib/bench"``). All three go through the option's own type, so that the same
values are allowed everywhere.
"""

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agent.cli.parser import LONGEST_QUOTED, did_you_mean
from agent.cli.values import file as file_of
from agent.regular_files import read_regular

PREFIX = "CHAINBENCH_"
FILE = "config"
"""The option that names the file, which cannot name another."""
LARGEST = 1 << 20
"""Bytes of a file. All settings there are take some hundreds."""
OTHERWISE = re.compile(r"\(default: ([^%)]*)\)")
SWITCH = {"true": True, "1": True, "false": False, "0": False}

OF_OTHERS = frozenset(
    {
        *("CHAINBENCH_AGENT", "CHAINBENCH_LIFELINE", "CHAINBENCH_PRIVATE"),  # of clients
        *("CHAINBENCH_AGENT_TOKEN", "CHAINBENCH_AGENT_TOKEN_FILE", "CHAINBENCH_AGENT_CA_FILE"),
        # of the project's own tests, which run agents
        *("CHAINBENCH_GOLDEN", "CHAINBENCH_REQUIRE_KERNEL", "CHAINBENCH_THOROUGH"),
        "CHAINBENCH_WHEEL",
    }
)
"""Variables with the same prefix that do not set anything of an agent."""


class NotGiven:
    """An option that the command line does not have. As text, which help prints, its default."""

    def __init__(self, default: Any) -> None:
        self.default = default

    def __str__(self) -> str:
        return str(self.default)


class Setting(NamedTuple):
    """An option's value in force, and where it is from."""

    name: str
    value: Any
    source: str
    otherwise: str = ""
    """What applies if ``value`` is None, where help says so."""


class Wrong(Exception):
    """A value cannot be used; the text names where it stands and what is allowed."""


def prepare(parser: argparse.ArgumentParser) -> None:
    """Make settings of the options that a parser has so far: they tell whether they were given."""
    parser.add_argument(
        f"--{FILE}",
        type=file_of,
        metavar="FILE",
        help=f"TOML file of settings; variables ({PREFIX}PORT) and options take precedence",
    )
    for action in parser._actions:
        # an option that repeats adds to its default, which is an empty list
        if action.dest != "help" and not _repeats(action):
            action.default = NotGiven(action.default)


def settle(options: argparse.Namespace) -> list[Setting]:
    """Decide each option of a prepared parser, and return all with where they are from.

    ``options`` holds the values afterwards. A mistake ends the program, as one on the command line
    does.
    """
    parser: argparse.ArgumentParser = options.parser
    actions = {_name(action): action for action in _options(parser)}
    try:
        [file] = _decided({FILE: actions.pop(FILE)}, options, {}, "")
        content = _content(file.value, actions) if file.value is not None else {}
        return [file, *_decided(actions, options, content, file.value)]
    except Wrong as error:
        from agent.terminal.values import printable

        parser.error(printable(error, 1000))


def unknown_variables(parser: argparse.ArgumentParser) -> list[str]:
    """Return a sentence for each variable that looks like a setting and is none.

    The environment is shared with others, so these are not taken for mistakes.
    """
    from agent.terminal.values import printable

    known = [_variable(_name(action)) for action in _options(parser)]
    strange = {name for name in os.environ if name.startswith(PREFIX)} - {*known, *OF_OTHERS}
    return [
        f"{printable(name, LONGEST_QUOTED)} is not a setting and is ignored"
        f"{did_you_mean(name, known, PREFIX)}"
        for name in sorted(strange)
    ]


def _decided(
    actions: Mapping[str, argparse.Action],
    options: argparse.Namespace,
    content: Mapping[str, Any],
    file: str,
) -> list[Setting]:
    """Decide each of these options, and set it in ``options``. Raises Wrong."""
    found = [_setting(action, options, content, file) for action in actions.values()]
    for action, setting in zip(actions.values(), found, strict=True):
        setattr(options, action.dest, setting.value)
    return found


def _setting(
    action: argparse.Action, options: argparse.Namespace, content: Mapping[str, Any], file: str
) -> Setting:
    name, given = _name(action), getattr(options, action.dest)
    if not isinstance(given, NotGiven) and given != []:
        return Setting(name, given, "command line")
    variable = _variable(name)
    if text := os.environ.get(variable):  # a compose file sets what it leaves out to nothing
        return Setting(name, _of_text(action, text, variable), variable)
    if name in content:
        return Setting(name, _of_toml(action, content[name], f"{file}: {name}"), file)
    default = given.default if isinstance(given, NotGiven) else given
    said = OTHERWISE.search(action.help or "")
    return Setting(name, default, "default", said[1] if said else "")


def _content(path: str, actions: Mapping[str, argparse.Action]) -> Mapping[str, Any]:
    """Return what a file sets. Raises Wrong."""
    # only here: most agents have no file, and the module would stay in memory
    import tomllib

    try:
        content = tomllib.loads(read_regular(path, LARGEST).decode())
    except OSError as error:
        raise Wrong(f"{path}: {error.strerror}") from error
    except RecursionError as error:
        raise Wrong(f"{path}: not a file of settings: it is nested too deeply") from error
    except ValueError as error:  # TOMLDecodeError is one, and bytes that are not UTF-8 are another
        raise Wrong(f"{path}: not valid TOML: {error}") from error
    for name, value in content.items():
        if name not in actions:
            quoted, hint = repr(name[:LONGEST_QUOTED]), did_you_mean(name, list(actions))
            if isinstance(value, dict):
                hint = ", and there are no tables: write port = 1 at the top"
            raise Wrong(f"{path}: there is no setting {quoted}{hint}; see serve --help")
    return content


def _of_text(action: argparse.Action, text: str, where: str) -> Any:
    """Return the value of a variable. Raises Wrong."""
    if action.nargs == 0:
        if text.lower() not in SWITCH:
            raise Wrong(f"{where}: must be true or false, not {text[:LONGEST_QUOTED]!r}")
        return SWITCH[text.lower()]
    if _repeats(action):
        parts = [part.strip() for part in text.split(",")]
        return [_converted(action, part, where) for part in parts if part]
    return _converted(action, text, where)


def _of_toml(action: argparse.Action, value: Any, where: str) -> Any:
    """Return the value of a key. Raises Wrong."""
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise Wrong(f"{where}: must be true or false")
        return value
    if _repeats(action):
        if not (isinstance(value, list) and all(isinstance(part, str) for part in value)):
            raise Wrong(f'{where}: must be a list of texts, as in ["a", "b"]')
        return [_converted(action, part, where) for part in value]
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise Wrong(f"{where}: must be a text or a number")
    if isinstance(value, int) and value.bit_length() > 64:
        # thousands of digits, which hexadecimals may amount to, Python does not even print
        raise Wrong(f"{where}: the number is too large")
    converted = _converted(action, str(value), where)
    if isinstance(converted, int) and not isinstance(value, str) and converted != value:
        # 0o660 is 432 in TOML, which as the text of a mode would mean another one
        raise Wrong(f"{where}: write it as text, in quotes: as a number, {value} is another value")
    return converted


def _converted(action: argparse.Action, text: str, where: str) -> Any:
    """Convert a text as argparse does. Raises Wrong."""
    if "\0" in text:  # only a file of settings can have it
        raise Wrong(f"{where}: there is a NUL character in it")
    try:
        value = action.type(text) if callable(action.type) else text
    except (argparse.ArgumentTypeError, ValueError) as error:
        raise Wrong(f"{where}: {error}") from error
    if action.choices is not None and value not in action.choices:
        allowed = ", ".join(map(str, action.choices))
        raise Wrong(f"{where}: must be one of {allowed}, not {text[:LONGEST_QUOTED]!r}")
    return value


def _options(parser: argparse.ArgumentParser) -> Sequence[argparse.Action]:
    """Return the options that are settings: those that `prepare` has seen."""
    return [a for a in parser._actions if isinstance(a.default, NotGiven) or _repeats(a)]


def _repeats(action: argparse.Action) -> bool:
    """Whether an option may be given several times, and is a list."""
    return isinstance(action.default, list)


def _name(action: argparse.Action) -> str:
    long = next(name for name in action.option_strings if name.startswith("--"))
    return long.removeprefix("--")


def _variable(name: str) -> str:
    return PREFIX + name.replace("-", "_").upper()
