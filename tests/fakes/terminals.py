"""A pseudo-terminal that a test types on, with a command in its foreground."""

import codecs
import contextlib
import os
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fakes.processes import kill_session
from fakes.program import PROGRAMS
from fakes.waiting import eventually

CTRL_C = b"\x03"
CTRL_Z = b"\x1a"
CTRL_BACKSLASH = b"\x1c"
ON_TERMINAL = str(PROGRAMS / "on_terminal.py")


class Terminal:
    """The user's end of the terminal."""

    def __init__(self, master: int, process: "subprocess.Popen[bytes]") -> None:
        self._master: int | None = master
        self.process = process
        self._shown = b""

    def type(self, keys: bytes) -> None:
        assert self._master is not None
        os.write(self._master, keys)

    def shown(self) -> str:
        """Return everything that has been shown so far."""
        while self._master is not None:
            try:
                self._shown += os.read(self._master, 65536)
            except BlockingIOError:
                break
            except OSError:  # EIO: no process has the terminal open any more
                break
        text, _ = codecs.utf_8_decode(self._shown)  # without a character of which more is to come
        return text.replace("\r\n", "\n")

    def wait_for(self, text: str) -> None:
        eventually(lambda: text in self.shown())

    def to_the_end(self) -> str:
        """Wait until the command has ended, and return everything that it has shown."""

        def ended() -> bool:
            self.shown()  # a command that fills the terminal waits for somebody to read it
            return self.process.poll() is not None

        eventually(ended)
        return self.shown()

    def modes(self) -> list[Any]:
        """Return how the terminal treats what is typed and printed, as tcgetattr(3) has it."""
        assert self._master is not None
        return termios.tcgetattr(self._master)

    def resize(self, rows: int, columns: int) -> None:
        """Change the window's size, of which the foreground is told by SIGWINCH."""
        assert self._master is not None
        termios.tcsetwinsize(self._master, (rows, columns))

    def close(self) -> None:
        """Take the terminal away, as when its window is closed or a connection breaks."""
        if self._master is not None:
            os.close(self._master)
            self._master = None


@contextlib.contextmanager
def on_terminal(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    columns: int = 80,
    **streams: Any,
) -> Iterator[Terminal]:
    """Run a command in a new session with a terminal. ``streams``: its stdout and stderr.

    The size is the terminal's, whatever these variables say: tox sets one, and readline, which
    pytest imports, both.
    """
    variables = dict(os.environ if environment is None else environment)
    for name in ("COLUMNS", "LINES"):
        variables.pop(name, None)
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (24, columns))
    os.set_blocking(master, False)
    with open(slave, "rb") as theirs:
        process = subprocess.Popen(
            [sys.executable, "-IS", ON_TERMINAL, *command],
            env=variables,
            stdin=theirs,
            start_new_session=True,
            **{"stdout": slave, "stderr": slave, **streams},
        )
    terminal = Terminal(master, process)
    try:
        yield terminal
    finally:
        terminal.close()
        kill_session(process)
