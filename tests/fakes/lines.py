"""Lines of another process, with a limit to how long one waits for them."""

import os
import select
import time


class LineReader:
    """Reads a pipe without a buffer that hides what select() should see."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._rest = b""

    def read(self, seconds: float) -> str:
        """The next line, without its end. Raises TimeoutError, or EOFError at the end."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._fd], [], [], left)[0]:
                raise TimeoutError(f"no line in {seconds:g} s")
            piece = os.read(self._fd, 65_536)
            if not piece:
                raise EOFError("the other side ended without a further line")
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()
