"""What the server's libraries import and this server never uses is left out of its memory.

Quart, Hypercorn, Werkzeug and Trio import unconditionally what serves HTTP/2, WebSockets, templates
and sessions, other servers, test clients, and modules of the standard library that only these use,
or that only annotate. This server refuses the first two and has no use for the others
(docs/decisions/0046-left-out.md).
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

LEFT_OUT = (
    *("h2", "hypercorn.protocol.h2"),
    "hypercorn.protocol.ws_stream",
    *("jinja2", "itsdangerous", "aiofiles"),
    *("quart.testing", "quart_trio.testing", "werkzeug.test"),
    *("werkzeug.serving", "hypercorn.asyncio", "trio._dtls"),
    # of the standard library: for annotations, files of settings, and hints at similar names
    *("http.cookiejar", "multiprocessing", "logging.config", "tomllib", "difflib"),
)
"""Modules that are left out, each with those below it."""


def leave_out() -> None:
    """Have this process find an empty module for each that is `LEFT_OUT`.

    Call it before the server's libraries are imported: what has been imported stays.
    """
    sys.meta_path.insert(0, _Finder())


def is_left_out(name: str) -> bool:
    """Whether a module is one that is `LEFT_OUT`, or below one."""
    return any(name == module or name.startswith(f"{module}.") for module in LEFT_OUT)


class LeftOut(Exception):
    """Something that is left out was used.

    Also the base of the classes that stand for what is left out: libraries derive classes of their
    own from some, and name others in ``except``.
    """


class _Finder:
    """Finds and loads empty modules.

    Has no base in importlib.abc: importing that takes more than is left out of the supervisor.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not is_left_out(name):
            return None
        # mypy knows only loaders that are derived from one
        return ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Empty(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: there is nothing in it."""


class _Empty(ModuleType):
    """A module that has every name that it is asked for: a class of which nothing can be made."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = type(name, (LeftOut,), {"__init__": _refuse, "__module__": self.__name__})
        setattr(self, name, made)
        return made


def _refuse(self: LeftOut, *arguments: object, **named: object) -> NoReturn:
    raise LeftOut(f"{type(self).__module__}.{type(self).__name__} is left out of this process")
