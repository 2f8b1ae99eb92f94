"""The package in a folder of its own, free to be broken."""

import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from fakes.processes import Launched, launched

import agent as package
from agent.client.interpreter import own_module


class Copy:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(
            package.__path__[0], folder / "agent", ignore=shutil.ignore_patterns("__pycache__")
        )
        self._intact: dict[str, str] = {}

    def change(self, name: str, old: str, new: str) -> None:
        """In a file of agent/streams, or beside it (``../evidence/checks.py``)."""
        path = self.folder / "agent" / "streams" / name
        text = self._intact.setdefault(name, path.read_text())
        assert old in text, f"{name} has changed: {old}"
        path.write_text(text.replace(old, new))

    def mend(self) -> None:
        for name, text in self._intact.items():
            (self.folder / "agent" / "streams" / name).write_text(text)

    def launched(self) -> AbstractContextManager[Launched]:
        return launched(self.folder / "log", invocation=own_module("agent", folder=self.folder))
