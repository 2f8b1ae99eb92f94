"""The agent's end of the channel to its supervisor."""

import array
import socket
from typing import NamedTuple, TypeVar

import trio

from agent.errors import ScopeError
from agent.streams.shared import channel
from agent.streams.shared.causes import CannotCollect, cannot
from agent.streams.shared.channel import Failure, Reply
from agent.streams.shared.messages import Request, encode_request

AnswerT = TypeVar("AnswerT")


class _Received(NamedTuple):
    packet: bytes
    fds: tuple[int, ...]
    is_whole: bool
    """Whether all file descriptors have been received."""


class SupervisorClient:
    """A client that sends one request at a time and notices when the supervisor is gone."""

    def __init__(self, supervisor: socket.socket, supervisor_pid: int) -> None:
        self._socket = trio.socket.from_stdlib_socket(supervisor)
        self._asking = trio.Lock()
        self._replies, self._received = trio.open_memory_channel[_Received](1)
        self.supervisor_pid = supervisor_pid
        self.lost = trio.Event()
        """Set once the supervisor has closed its end, which happens only when it dies."""

    async def run(self) -> None:
        """Receive until the supervisor is gone, then return. Cancel to end earlier."""
        try:
            async with self._replies:
                while (reply := await self._receive()) is not None:
                    await self._replies.send(reply)
                self.lost.set()
        finally:
            self._socket.close()

    async def ask(self, request: Request[AnswerT]) -> Reply[AnswerT]:
        """Send a request and wait for its answer. Raises CannotCollect, ScopeError.

        Raises OSError if its file descriptors cannot be received; what it says has been done.

        Shielded: an answer carries fds and changes what is attached, so it must be received.
        """
        with trio.CancelScope(shield=True):
            async with self._asking:
                received = await self._exchange(encode_request(request))
        if received is None:
            # if `run` was cancelled, so are we: the agent ends, and nothing was lost
            await trio.lowlevel.checkpoint_if_cancelled()
            raise cannot("supervisor_lost", f"pid {self.supervisor_pid}")
        if not received.is_whole:
            raise channel.withheld(received.fds, self._socket.fileno())
        reply = channel.decode_answer(request.answer, received.packet, received.fds)
        if isinstance(reply, Failure):
            raise _error(reply)
        return reply

    async def _exchange(self, packet: bytes) -> _Received | None:
        """Send a packet and return the one that answers it; None if the channel is closed."""
        try:
            await self._socket.send(packet)
            return await self._received.receive()
        except (OSError, trio.ClosedResourceError, trio.EndOfChannel):
            return None

    async def _receive(self) -> _Received | None:
        fd_bytes = channel.MAX_FDS * array.array("i").itemsize
        try:
            packet, ancillary, flags, _ = await self._socket.recvmsg(
                channel.MAX_MESSAGE, socket.CMSG_LEN(fd_bytes), socket.MSG_CMSG_CLOEXEC
            )
        except OSError:
            return None
        if not packet:
            return None
        return _Received(packet, _fds_of(ancillary), not flags & socket.MSG_CTRUNC)


def _error(failure: Failure) -> Exception:
    kind = ScopeError if failure.of_scope else CannotCollect
    return kind(failure.message, code=failure.code)


def _fds_of(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, ...]:
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return tuple(fds)
