"""A bound on the memory of answers that wait for clients to read them."""

from typing import Protocol

SMALL = 64 * 1024
"""Answers up to this size are not counted: the limit on connections bounds them."""

LIMIT = 64 * 1024 * 1024
"""Bytes of large answers that may wait: some twenty pages of ``/metrics`` with 200 label sets."""

ALWAYS = 4
"""Large answers that may wait, however large: two scrapers and their pages, with some to spare."""


class Closable(Protocol):
    """What an answer is sent on."""

    def close(self) -> None: ...


class Unsent:
    """Large answers that are being sent. When they become too many, the connection whose client has
    taken nothing for longest is closed, so a client that reads is not disturbed by those that do
    not. One object counts once, however many clients get it: simultaneous scrapes share a page.
    """

    def __init__(self) -> None:
        self._answers: dict[Closable, bytes] = {}
        """By stream; first the one that has waited longest since its client took something."""

    def add(self, stream: Closable, answer: bytes) -> None:
        """Count an answer whose sending begins, and make room for it."""
        if len(answer) <= SMALL:
            return
        self._answers[stream] = answer
        while self._are_too_many():
            longest = next(iter(self._answers))
            del self._answers[longest]
            longest.close()

    def has_moved(self, stream: Closable) -> None:
        """Note that the client has taken a piece of its answer."""
        if stream in self._answers:
            self._answers[stream] = self._answers.pop(stream)

    def remove(self, stream: Closable) -> None:
        """Count the stream's answer no longer: it was sent, or could not be."""
        self._answers.pop(stream, None)

    def _are_too_many(self) -> bool:
        sizes = {id(answer): len(answer) for answer in self._answers.values()}
        return len(sizes) > ALWAYS and sum(sizes.values()) > LIMIT
