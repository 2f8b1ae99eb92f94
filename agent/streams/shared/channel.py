"""Typed messages over a socket pair, with file descriptors by name.

Each message is a frozen dataclass, sent as one JSON object per packet of a SOCK_SEQPACKET pair.
The receiver says which message it expects and takes exactly that: every field present, none
unknown, each of its type. Standard library only, Python 3.9: all three processes import this.
"""

import json
import os
import socket
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any, Generic, TypeVar, Union, cast, get_args, get_origin, get_type_hints

MAX_MESSAGE = 128 * 1024
MAX_FDS = 64

UNIONS = (Union, getattr(types, "UnionType", Union))
"""``Optional[X]``, and ``X | None`` since Python 3.10."""

T = TypeVar("T")


class Malformed(ValueError):
    """A packet that is not the message it should be."""


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
    """A ScopeError: the request is at fault, and eBPF may well be available."""


def pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a channel."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def encode(message: Any) -> bytes:
    """A dataclass as a packet."""
    return to_json(asdict(message))


def decode(kind: type[T], packet: bytes) -> T:
    """The message of this kind in a packet. Raises Malformed."""
    return taken(kind, from_json(packet))


def send_answer(channel: socket.socket, answer: Any, fds: Mapping[str, int]) -> None:
    """Send an answer; the message names the file descriptors in their order."""
    message = {"answer": asdict(answer), "fds": list(fds)}
    socket.send_fds(channel, [to_json(message)], list(fds.values()))


def send_failure(channel: socket.socket, failure: Failure) -> None:
    channel.send(to_json({"failure": asdict(failure)}))


def decode_answer(kind: type[T], packet: bytes, fds: Sequence[int]) -> Union[Reply[T], Failure]:
    """What came of a request. Raises Malformed, with the file descriptors closed."""
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


def to_json(message: dict[str, Any]) -> bytes:
    """A JSON object as bytes."""
    return json.dumps(message, separators=(",", ":")).encode()


def from_json(packet: bytes) -> dict[str, Any]:
    """Raises Malformed."""
    try:
        message = json.loads(packet)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON: {error}") from error
    if not isinstance(message, dict):
        raise Malformed("not a JSON object")
    return message


def taken(kind: type[T], value: Any) -> T:
    """A JSON value as a value of this type. Raises Malformed."""
    return cast("T", _taken(kind, value))


def _taken(kind: Any, value: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return _message(kind, value)
    if origin in UNIONS:  # with None, the only ones in use
        return None if value is None else _taken(arguments[0], value)
    if origin is tuple:
        return _tuple(arguments, value)
    if origin is dict:
        of_key, of_value = arguments
        return {_key(of_key, k): _taken(of_value, v) for k, v in _is_a(dict, value).items()}
    return _is_a(kind, value)


def _message(kind: Any, value: Any) -> Any:
    known = {field.name for field in fields(kind)}
    if different := set(_is_a(dict, value)) ^ known:
        names = ", ".join(sorted(different))
        raise Malformed(f"{kind.__name__}: missing or unknown fields: {names}")
    hints = get_type_hints(kind)
    try:
        return kind(**{name: _taken(hints[name], given) for name, given in value.items()})
    except ValueError as error:  # the message's own checks are among them
        raise Malformed(f"{kind.__name__}: {error}") from error


def _tuple(arguments: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    items = _is_a(list, value)
    if arguments[-1] is Ellipsis:
        arguments = arguments[:1] * len(items)
    if len(items) != len(arguments):
        raise Malformed(f"{len(items)} values where {len(arguments)} were expected")
    return tuple(map(_taken, arguments, items))


def _key(kind: Any, text: str) -> Any:
    """JSON's keys are strings."""
    if kind is str:
        return text
    try:
        return kind(text)
    except ValueError as error:
        raise Malformed(str(error)) from error


def _is_a(kind: Any, value: Any) -> Any:
    if type(value) is not kind:
        raise Malformed(f"{type(value).__name__} where {kind.__name__} was expected")
    return value


def _named(names: Sequence[str], fds: Sequence[int]) -> dict[str, int]:
    if len(set(names)) != len(fds) or len(names) != len(fds):
        raise Malformed(f"{len(fds)} file descriptors named {', '.join(names)}")
    return dict(zip(names, fds))
