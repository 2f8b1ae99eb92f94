"""HTTP/1.1 as an agent speaks it: a request as bytes, and an answer out of a stream (RFC 9112).

``http.client`` does the same and more. Importing it takes as long as all the rest of what `run`
needs before its command begins, since it imports ``email`` and ``ssl``.
"""

from typing import IO, NamedTuple

LONGEST_LINE = 65536
MOST_FIELDS = 100
TLS_ALERT = b"\x15\x03"
"""How a server that speaks TLS may complain of what is not (RFC 8446, section 5.1)."""
LONGEST_BODY = 1 << 28
"""Bytes of a body or a chunk. Evidence has some millions at most; what answers may be anything."""


class NoAnswer(Exception):
    """What came is no HTTP answer, or only a part of one; the text says what is wrong."""


class Closed(NoAnswer):
    """Nothing came at all."""


class Answer(NamedTuple):
    status: int
    body: bytes
    reusable: bool
    """Whether the connection takes another request."""
    challenge: str = ""
    """How a client has to authenticate, if the server refuses it for want of that
    (WWW-Authenticate)."""


def request(method: str, target: str, host: str, body: bytes | None, token: str = "") -> bytes:
    """Return a request. ``body``: JSON, or None; ``token``: a bearer token, or none if empty."""
    fields = [f"Host: {host}", "Accept-Encoding: identity"]
    if token:
        fields.append(f"Authorization: Bearer {token}")
    if body is not None:
        fields += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    elif method == "POST":
        fields.append("Content-Length: 0")
    head = "\r\n".join([f"{method} {target} HTTP/1.1", *fields, "", ""])
    return head.encode("ascii") + (body or b"")


def read_answer(stream: IO[bytes]) -> Answer:
    """Read the answer to a GET or a POST. Raises `NoAnswer`, and what the stream raises."""
    status, fields, persistent = _read_head(stream)
    while 100 <= status < 200:
        status, fields, persistent = _read_head(stream)
    options = fields.get("connection", "").lower()
    persistent = "close" not in options and (persistent or "keep-alive" in options)
    challenge = fields.get("www-authenticate", "")
    if status in (204, 304):
        return Answer(status, b"", persistent, challenge)
    if "chunked" in fields.get("transfer-encoding", "").lower():
        return Answer(status, _read_chunks(stream), persistent, challenge)
    if "content-length" in fields:
        body = _read_bytes(stream, _length(fields["content-length"]))
        return Answer(status, body, persistent, challenge)
    return Answer(status, stream.read(), reusable=False, challenge=challenge)


def _read_head(stream: IO[bytes]) -> tuple[int, dict[str, str], bool]:
    """Return status, fields by name, and whether connections are kept by default."""
    line = stream.readline(LONGEST_LINE + 1)
    if not line:
        raise Closed("it closed the connection without an answer")
    if line.startswith(TLS_ALERT):
        raise NoAnswer("it speaks TLS: its URL begins with https://")
    version, _, rest = line.decode("latin-1").partition(" ")
    status = rest[:3]
    if not (version.startswith("HTTP/1.") and len(status) == 3 and _is_number(status)):
        raise NoAnswer("it does not speak HTTP")
    return int(status), _read_fields(stream), version.strip() != "HTTP/1.0"


def _read_fields(stream: IO[bytes]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for _ in range(MOST_FIELDS):
        line = _read_line(stream)
        if not line:
            return fields
        name, _, value = line.partition(":")
        fields[name.lower()] = value.strip()
    raise NoAnswer("its answer has too many header fields")


def _read_chunks(stream: IO[bytes]) -> bytes:
    parts = []
    while size := _length(_read_line(stream).partition(";")[0].strip(), 16):
        parts.append(_read_bytes(stream, size))
        _read_line(stream)
    _read_fields(stream)
    return b"".join(parts)


def _read_line(stream: IO[bytes]) -> str:
    line = stream.readline(LONGEST_LINE + 1)
    if not line.endswith(b"\n"):
        raise NoAnswer("its answer is cut off, or a line of it is too long")
    return line.decode("latin-1").rstrip("\r\n")


def _read_bytes(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise NoAnswer(f"its answer is cut off after {len(data)} of {size} bytes")
    return data


def _length(text: str, base: int = 10) -> int:
    # int() also takes signs, spaces, "_" and the digits of other scripts
    if not (_is_number(text) if base == 10 else text.isascii() and text.isalnum()):
        raise NoAnswer("its answer has a length that is no number")
    try:
        length = int(text, base)
    except ValueError:
        raise NoAnswer("its answer has a length that is no number") from None
    if length > LONGEST_BODY:
        raise NoAnswer("its answer is too long")
    return length


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()
