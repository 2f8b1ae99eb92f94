"""The agent's end of the channel to its supervisor."""

import array
import os
import socket
from dataclasses import dataclass
from typing import Any

import trio

from agent.errors import InvalidRequest
from agent.streams.shared import messages
from agent.streams.shared.causes import CannotCollect, cannot
from agent.streams.supervisor.scopes import ERRORS as SCOPE_ERRORS


@dataclass(frozen=True, slots=True)
class Reply:
    message: dict[str, Any]
    fds: tuple[int, ...]


class SupervisorClient:
    """Asks one thing at a time, and knows when the supervisor is gone."""

    def __init__(self, channel: socket.socket, supervisor_pid: int) -> None:
        self._socket = trio.socket.from_stdlib_socket(channel)
        self._asking = trio.Lock()
        self._replies, self._received = trio.open_memory_channel[Reply](1)
        self.supervisor_pid = supervisor_pid
        self.lost = trio.Event()
        """Set once the supervisor has closed its end, which only its death does."""

    async def run(self) -> None:
        """Receive until the supervisor is gone. Ends by itself then; cancel it to end earlier."""
        try:
            async with self._replies:
                while (reply := await self._receive()) is not None:
                    await self._replies.send(reply)
        finally:
            self.lost.set()
            self._socket.close()

    async def ask(self, verb: str, **arguments: Any) -> Reply:
        """Send a request and wait for its answer. Raises CannotCollect.

        Shielded: an answer brings fds and changes what is attached, so it must be received.
        """
        with trio.CancelScope(shield=True):
            async with self._asking:
                try:
                    await self._socket.send(messages.encode({"verb": verb, **arguments}))
                    reply = await self._received.receive()
                except (OSError, trio.ClosedResourceError, trio.EndOfChannel) as error:
                    raise cannot("supervisor_lost", f"pid {self.supervisor_pid}") from error
        if reply.message.get("error") in SCOPE_ERRORS:
            code, message = reply.message["error"], reply.message["message"]
            raise InvalidRequest(message, code=code, field="scope")
        if "error" in reply.message:
            raise CannotCollect(reply.message["error"], reply.message["message"])
        return reply

    async def _receive(self) -> Reply | None:
        fd_bytes = messages.MAX_FDS * array.array("i").itemsize
        try:
            packet, ancillary, _, _ = await self._socket.recvmsg(
                messages.MAX_MESSAGE, socket.CMSG_LEN(fd_bytes), socket.MSG_CMSG_CLOEXEC
            )
        except OSError:
            return None
        if not packet:
            return None
        return Reply(messages.decode(packet), _fds_of(ancillary))


def _fds_of(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, ...]:
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return tuple(fds)


def close_all(fds: tuple[int, ...]) -> None:
    for fd in fds:
        os.close(fd)
