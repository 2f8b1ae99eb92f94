"""What a connection sends and receives through: a socket, with or without TLS."""

import contextlib
import ssl

import trio

from agent.http.unsent import Unsent

PIECE = 64 * 1024
"""A long answer is sent in pieces of this size, to distinguish a client that reads slowly from one
that does not read at all."""


class ClientStream:
    """A `trio.SocketStream` with a timeout on sends: they fail if the client stops reading."""

    def __init__(
        self,
        stream: trio.SocketStream,
        send_timeout: float,
        unsent: Unsent,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``tls``: encrypts what is sent and received; None: nothing does."""
        self.socket = stream.socket
        self.sending = False
        self._transport = stream
        self._tls = None if tls is None else _encrypted(stream, tls)
        self._stream = self._tls or stream
        self._send_timeout = send_timeout
        self._unsent = unsent

    @property
    def is_encrypted(self) -> bool:
        return self._tls is not None

    async def shake_hands(self, seconds: float) -> bool:
        """Agree with the client on its encryption, if any; return False if that fails."""
        if self._tls is None:
            return True
        try:
            with trio.fail_after(seconds):
                await self._tls.do_handshake()
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            return False
        return True

    async def send_all(self, data: bytes) -> None:
        """Send ``data``. Raises `trio.BrokenResourceError` if a piece takes too long.

        After a failure, the stream is closed.
        """
        view = memoryview(data)
        self.sending = True
        self._unsent.add(self, data)
        try:
            for start in range(0, len(view), PIECE):
                # Hypercorn shields its sends from cancellation; this scope is inside the shield.
                with trio.fail_after(self._send_timeout):
                    await self._stream.send_all(view[start : start + PIECE])
                self._unsent.has_moved(self)
        except (trio.TooSlowError, trio.BrokenResourceError):
            # Also end the read of the task that receives from this stream.
            self.close()
            raise trio.BrokenResourceError("the client does not read, or is gone") from None
        finally:
            self._unsent.remove(self)
            self.sending = False

    async def receive_some(self, max_bytes: int) -> bytes:
        return bytes(await self._stream.receive_some(max_bytes))

    async def send_eof(self) -> None:
        """Send EOF if the connection still stands."""
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._transport.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def close(self) -> None:
        """Close without waiting; pending reads and sends raise `trio.ClosedResourceError`."""
        self.socket.close()


def _encrypted(stream: trio.SocketStream, tls: ssl.SSLContext) -> trio.SSLStream[trio.SocketStream]:
    # https_compatible: few clients announce that they close, and HTTP says where answers end
    return trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
