"""Parsing of a connection's requests: h11, tolerant of the bytes around a request.

Between the requests of a connection a client may send more than requests. Old clients end a body
with a CRLF that its length does not count, and RFC 9112, section 2.2, has servers ignore empty
lines before a request line. And after a request that is its connection's last (HTTP/1.0, or
"Connection: close") nothing more is expected, so nothing that arrives can be a request.

h11 reports both as errors. By then the request before them is being carried out: a run would be
started, and its client told that the request was bad.
"""

import h11


class RequestParser:
    """The server's side of an `h11.Connection`: the part of its interface that Hypercorn uses.

    It differs in three points: empty lines before a request line are skipped, whatever follows a
    connection's last request is discarded, and parsing can be ended.
    """

    def __init__(self, max_incomplete_event_size: int) -> None:
        self._limit = max_incomplete_event_size
        self._ended = False
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size)

    @property
    def our_state(self) -> type:
        return self._h11.our_state

    @property
    def their_state(self) -> type:
        return self._h11.their_state

    @property
    def they_are_waiting_for_100_continue(self) -> bool:
        return self._h11.they_are_waiting_for_100_continue

    @property
    def trailing_data(self) -> tuple[bytes, bool]:
        return self._h11.trailing_data

    def receive_data(self, data: bytes) -> None:
        """Take what was received; no bytes stand for the end of the stream."""
        if self._ended or (data and self.their_state is h11.MUST_CLOSE):
            return
        if data and self.their_state is h11.IDLE and not self._unparsed:
            data = data.lstrip(b"\r\n")
            if not data:
                return
        self._h11.receive_data(data)

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Return the next event. Raises `h11.RemoteProtocolError`."""
        if self._ended or (self.their_state is h11.MUST_CLOSE and self._unparsed):
            return h11.NEED_DATA
        return self._h11.next_event()

    def end(self) -> None:
        """Parse nothing more: neither what arrives, nor the requests that are here already."""
        self._ended = True

    def send(self, event: h11.Event) -> bytes | None:
        """Return the bytes of one of our events. Raises `h11.LocalProtocolError`."""
        return self._h11.send(event)

    def start_next_cycle(self) -> None:
        """Be ready for the next request. Raises `h11.LocalProtocolError` if none may follow."""
        self._h11.start_next_cycle()
        follows = self._unparsed
        if follows.startswith((b"\r", b"\n")):
            # h11 has no way to skip a part of what it has received.
            self._h11 = h11.Connection(h11.SERVER, self._limit)
            self.receive_data(follows)

    @property
    def _unparsed(self) -> bytes:
        return self._h11.trailing_data[0]
