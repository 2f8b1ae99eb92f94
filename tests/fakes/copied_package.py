"""A copy of the package into which faults.py injects faults at run time, without editing modules.

In the copy, ``python -m agent`` and the compiler first inject the listed faults into their process.
"""

import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from fakes import faults
from fakes.processes import Launched, launched

import agent as package
from agent.client.interpreter import own_module

START = """\
import sys

import faults

faults.break_agent()

from agent.cli import main
from agent.terminal.streams import run_command

sys.exit(run_command(main))
"""

COMPILER = """\
import sys

sys.path.append({folder!r})

import faults
from agent.streams.compiler import compiler

faults.break_compiler()
compiler.main()
"""


class Copy:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._faults: list[tuple[str, tuple[object, ...]]] = []
        source, copy = Path(faults.__file__), folder / "agent"
        # with what Python has compiled: it does not depend on the folder, and takes a second anew
        shutil.copytree(package.__path__[0], copy)
        shutil.copy(source, folder)
        shutil.copy(source.with_suffix(".h"), copy / "streams" / "probes")
        (copy / "__main__.py").write_text(START)
        (folder / faults.COMPILER.name).write_text(COMPILER.format(folder=str(folder)))
        self.mend()

    def inject(self, fault: Callable[..., None], *arguments: object) -> None:
        """Inject a fault of faults.py into all processes that are started from now on."""
        self._faults.append((fault.__name__, arguments))
        self._write()

    def mend(self) -> None:
        self._faults.clear()
        self._write()

    def _write(self) -> None:
        (self.folder / faults.LIST.name).write_text(json.dumps(self._faults))

    def launched(self, *arguments: str) -> AbstractContextManager[Launched]:
        invocation = own_module("agent", folder=self.folder)
        return launched(self.folder / "log", *arguments, invocation=invocation)
