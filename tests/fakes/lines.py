"""Reading lines from another process, with a timeout."""

import os
import select
import time


class LineReader:
    """A pipe reader that buffers nothing that poll() would have to see."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._readable = select.poll()
        self._readable.register(fd, select.POLLIN)
        self._rest = b""

    def read(self, seconds: float) -> str:
        """Return the next line without its newline. Raise TimeoutError, or EOFError at the end."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not self._readable.poll(left * 1_000):
                raise TimeoutError(f"no line in {seconds:g} s")
            piece = os.read(self._fd, 65_536)
            if not piece:
                raise EOFError("the other process closed the pipe without another line")
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()
