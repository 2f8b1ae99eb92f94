"""Typed messages over a socket pair, with file descriptors by name.

Each message is a frozen dataclass, sent as one JSON object per packet of a SOCK_SEQPACKET pair.
The receiver states which message it expects and accepts nothing else: every field must be present,
none may be unknown, and each must have its type. Standard library only, Python 3.9: all three
processes import this module.
"""

import errno
import json
import os
import socket
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, partial
from typing import Any, Generic, TypeVar, Union, cast, get_args, get_origin, get_type_hints

MAX_MESSAGE = 128 * 1024
MAX_FDS = 64

UNIONS = (Union, getattr(types, "UnionType", Union))
"""The origins of ``Optional[X]`` and, since Python 3.10, of ``X | None``."""

T = TypeVar("T")


class Malformed(ValueError):
    """A packet that is not a valid message of the expected type."""


@dataclass(frozen=True)
class Reply(Generic[T]):
    """An answer and the file descriptors that came with it, by name."""

    answer: T
    fds: Mapping[str, int]


@dataclass(frozen=True)
class Failure:
    """Sent instead of an answer."""

    code: str
    message: str
    of_scope: bool = False
    """Whether it is a ScopeError: the request is at fault, and eBPF may well be available."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a channel."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def encode(message: Any) -> bytes:
    """Encode a dataclass as a packet."""
    return to_json(message)


def decode(kind: type[T], packet: bytes) -> T:
    """Decode a packet as a message of this kind. Raises Malformed."""
    return taken(kind, from_json(packet))


def send_answer(channel: socket.socket, answer: Any, fds: Mapping[str, int]) -> None:
    """Send an answer. The message lists the names of the file descriptors in order."""
    message = {"answer": answer, "fds": list(fds)}
    socket.send_fds(channel, [to_json(message)], list(fds.values()))


def send_failure(channel: socket.socket, failure: Failure) -> None:
    channel.send(to_json({"failure": failure}))


def receive(channel: socket.socket) -> tuple[bytes, list[int]]:
    """Receive one packet and its file descriptors.

    Raises OSError if not all of them could be received.
    """
    packet, fds, flags, _ = socket.recv_fds(channel, MAX_MESSAGE, MAX_FDS)
    if flags & socket.MSG_CTRUNC:
        raise withheld(fds, channel.fileno())
    return packet, fds


def withheld(received: Sequence[int], some_fd: int) -> OSError:
    """Close what was received and return the error for the rest (MSG_CTRUNC).

    The kernel gives no errno with that flag. It is set where a process may open no more files, or
    where a security module forbids one of them (scm_detach_fds()). Which it is shows when another
    descriptor is opened.
    """
    number = errno.EACCES
    try:
        os.close(os.dup(some_fd))
    except OSError as error:
        number = error.errno or number
    close_all(received)
    return OSError(number, os.strerror(number))


def decode_answer(kind: type[T], packet: bytes, fds: Sequence[int]) -> Union[Reply[T], Failure]:
    """Decode the answer to a request. Closes the file descriptors before it raises Malformed."""
    try:
        message = from_json(packet)
        if set(message) == {"failure"} and not fds:
            return taken(Failure, message["failure"])
        if set(message) != {"answer", "fds"}:
            raise Malformed(f"neither an answer nor a failure: {sorted(message)}")
        answer = taken(kind, message["answer"])
        return Reply(answer, _named(taken(tuple[str, ...], message["fds"]), fds))
    except Malformed:
        close_all(fds)
        raise


def close_all(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


def to_json(message: Any) -> bytes:
    """Encode a JSON object, or a dataclass, as bytes."""
    return json.dumps(message, separators=(",", ":"), default=_by_field).encode()


def _by_field(message: Any) -> dict[str, Any]:
    """Return the fields of a dataclass, not copied as by ``asdict``."""
    kind: Any = type(message)
    return {name: getattr(message, name) for name in _names(kind)}


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def from_json(packet: bytes) -> dict[str, Any]:
    """Decode bytes as a JSON object. Raises Malformed."""
    try:
        message = json.loads(packet)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON: {error}") from error
    if not isinstance(message, dict):
        raise Malformed("not a JSON object")
    return message


def taken(kind: type[T], value: Any) -> T:
    """Convert a JSON value to this type. Raises Malformed."""
    return cast("T", _conversion(cast("Any", kind))(value))


@cache
def _conversion(kind: Any) -> Callable[[Any], Any]:
    """Return what converts values to this type; kept, as to find it takes longer than to use it."""
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return partial(_message, kind)
    if origin in UNIONS:  # only unions with None are in use
        return partial(_unless_none, _conversion(arguments[0]))
    if origin is tuple and arguments[-1] is Ellipsis:
        return partial(_items, _conversion(arguments[0]))
    if origin is tuple:
        return partial(_tuple, tuple(map(_conversion, arguments)))
    if kind == dict[str, int]:
        return _counts
    if origin is dict:
        return partial(_dict, arguments[0], _conversion(arguments[1]))
    return partial(_is_a, kind)


def _message(kind: Any, value: Any) -> Any:
    conversions = _conversions(kind)
    if different := _is_a(dict, value).keys() ^ conversions.keys():
        names = ", ".join(sorted(different))
        raise Malformed(f"{kind.__name__}: missing or unknown fields: {names}")
    try:
        return kind(**{name: conversions[name](given) for name, given in value.items()})
    except ValueError as error:  # includes the message's own checks
        raise Malformed(f"{kind.__name__}: {error}") from error


@cache
def _conversions(kind: Any) -> Mapping[str, Callable[[Any], Any]]:
    """Return what converts each field of a message."""
    hints = get_type_hints(kind)
    return {name: _conversion(hints[name]) for name in _names(kind)}


def _unless_none(convert: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else convert(value)


def _items(convert: Callable[[Any], Any], value: Any) -> tuple[Any, ...]:
    return tuple(map(convert, _is_a(list, value)))


def _tuple(conversions: tuple[Callable[[Any], Any], ...], value: Any) -> tuple[Any, ...]:
    items = _is_a(list, value)
    if len(items) != len(conversions):
        raise Malformed(f"expected {len(conversions)} values, not {len(items)}")
    return tuple(convert(item) for convert, item in zip(conversions, items))


def _dict(of_key: Any, convert: Callable[[Any], Any], value: Any) -> dict[Any, Any]:
    return {_key(of_key, k): convert(v) for k, v in _is_a(dict, value).items()}


def _counts(value: Any) -> dict[str, int]:
    """Accept counts without converting each value: they are most of an answer."""
    if not {*map(type, _is_a(dict, value).values())} <= {int}:
        raise Malformed("expected int throughout")
    return cast("dict[str, int]", value)


def _key(kind: Any, text: str) -> Any:
    """Convert the key of a JSON object, which is always a string."""
    if kind is str:
        return text
    try:
        return kind(text)
    except ValueError as error:
        raise Malformed(str(error)) from error


def _is_a(kind: Any, value: Any) -> Any:
    if type(value) is not kind:
        raise Malformed(f"expected {kind.__name__}, not {type(value).__name__}")
    return value


def _named(names: Sequence[str], fds: Sequence[int]) -> dict[str, int]:
    if len(set(names)) != len(fds) or len(names) != len(fds):
        raise Malformed(f"{len(fds)} file descriptors for the names {', '.join(names)}")
    return dict(zip(names, fds))
