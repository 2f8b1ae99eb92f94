"""``chainbench-agent config``: print the settings in force, and where each is from."""

import argparse
from typing import Any

from agent.cli import layers, serve
from agent.cli.parser import Commands


def add(commands: Commands) -> None:
    config = commands.add_parser(
        "config",
        help="print the settings that an agent would have, and where each is from",
        usage="%(prog)s [-h] [OPTIONS of serve]",
        description="Print the settings with which serve would start an agent from here, as a TOML"
        " file; each with where it is from: the command line, a variable, a file, or default.",
    )
    serve.add_options(config)
    config.set_defaults(parser=config, run=_config)


def _config(options: argparse.Namespace) -> int:
    from agent.terminal.output import write

    settings = layers.settle(options)
    serve.check(options)
    lines = [_line(setting) for setting in settings if setting.name != layers.FILE]
    lines += [f"# {said}" for said in layers.unknown_variables(options.parser)]
    write("".join(f"{line}\n" for line in lines))
    return 0


def _line(setting: layers.Setting) -> str:
    if setting.value is None:
        return f"# {setting.name} is not set{setting.otherwise and f': {setting.otherwise}'}"
    line = f"{setting.name} = {_toml(setting.value)}  # {_in_a_comment(setting.source)}"
    if _is_utf8(setting.value):
        return line
    return f"# {line}; no file can set it, since it is not UTF-8"


def _is_utf8(value: Any) -> bool:
    """Return whether TOML can hold a value, as it cannot hold every name of a file."""
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return False
    return True


def _in_a_comment(text: str) -> str:
    return text if text.isprintable() else repr(text)


def _toml(value: Any) -> str:
    """Return a value as TOML, which serve reads as the same value."""
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if type(value) in (int, float):
        return str(value)
    from json import dumps

    # JSON leaves what a terminal may interpret, and of what TOML wants escaped U+007F
    # (https://toml.io/en/v1.0.0#string)
    text = dumps(str(value), ensure_ascii=False)
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"
