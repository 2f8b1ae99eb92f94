"""What ``run`` and ``record`` say, and the files that they keep it in."""

import contextlib
import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from agent.run.options import Options
from agent.terminal import output as terminal
from agent.terminal.files import save, why_refused
from agent.terminal.values import printable

if TYPE_CHECKING:
    from pathlib import Path

FILE_COLUMNS = 80


class Teller:
    """Says things in the name of a command, and reports what it found."""

    def __init__(self, name: str, options: Options) -> None:
        self._name = name
        self._options = options
        self._said_why = ""
        self._how_to_get_in = ""
        self._said_slow: set[str] = set()
        self._missing: set[str] = set()

    def closed(self, how: str) -> None:
        """Remember how to get access to the agent of a service, to say it if there is no evidence.

        To ask only then would be to wait once more for a service that is silent.
        """
        self._how_to_get_in = how

    def no_evidence(self, why: str, of: str = "") -> None:
        """Say why nothing is measured; the report on the same stream does not repeat it.

        ``of``: what, if that is not all that there is.
        """
        self._said_why = why
        self.say(f"no evidence{of}: {why}{self._how_to_get_in}")

    def missing(self, why: str) -> None:
        """Say of which other machine there is no evidence, and why: once."""
        if why not in self._missing:
            self._missing.add(why)
            self.say(f"no evidence of {why}")

    def say(self, text: str) -> None:
        said = "\n".join(printable(line, 2000) for line in text.splitlines())
        terminal.complain(f"chainbench-agent {self._name}: {said}\n")

    def refuses_files(self, *others: "Path | None") -> bool:
        """Say which file could not be written, before anything is measured."""
        options = self._options
        files = (options.output, options.json, options.html, *others)
        why = None if options.html is None else _cannot_draw()
        why = why or why_refused([path for path in files if path is not None])
        if why is not None:
            self.say(why)
        return why is not None

    def busy(self, other: str) -> None:
        self.say(f"waiting for the end of another run (Ctrl-C gives up): {other}")

    def slow(self, what: str) -> None:
        """Say once what the agent takes long for, to who waits for it at a terminal."""
        waits = sys.stderr is not None and sys.stderr.isatty() and not self._options.quiet
        if waits and what not in self._said_slow:
            self._said_slow.add(what)
            self.say(f"waiting for the agent, which {what}")

    def report(self, document: Mapping[str, Any], stream: TextIO | None) -> bool:
        """Save and print the document; return whether all files could be written.

        Raises OutputFailed if the stream does not take it.
        """
        # imported after the command has ended: none of it is needed before
        from agent.show.brief import brief

        options = self._options
        saved = options.json is None or self.save(
            options.json, json.dumps(document, indent=1) + "\n"
        )
        if options.output is not None:
            return self.save(options.output, brief(document, FILE_COLUMNS)) and saved
        if not options.quiet:
            color = terminal.wants_color(stream)
            unavailable = document.get("available") is False
            known = unavailable and document.get("reason") == self._said_why
            report = brief(document, terminal.columns(stream), color, reason_known=known)
            terminal.write(report, stream)
        return saved

    def draw(self, document: Mapping[str, Any]) -> bool:
        """Save the document with pictures, if that is asked for; return whether it could be."""
        path = self._options.html
        if path is None:
            return True
        from agent.report.library import CannotDraw, drawn_page

        try:
            return self.save(path, drawn_page(document))
        except CannotDraw as error:
            self.say(f"cannot draw {printable(path)}: {error}")
            return False

    def add(self, label: str, text: str) -> None:
        """Add a line to the report that has been printed, or saved to a regular file."""
        # imported after the command has ended: none of it is needed before
        from agent.show.layout import row

        output = self._options.output
        if output is None:
            if not self._options.quiet:
                terminal.complain(row(label, text, terminal.columns(sys.stderr)))
        elif output.is_file():
            with contextlib.suppress(OSError), output.open("a", encoding="utf-8") as file:
                file.write(row(label, text, FILE_COLUMNS))

    def save(self, path: "Path", text: str) -> bool:
        """Write a file; say why it could not be written. Return whether it was."""
        if why := save(path, text):
            self.say(f"cannot write {printable(path)}: {why}")
        return why is None


def _cannot_draw() -> str | None:
    from agent.report.library import cannot_draw

    return cannot_draw()
