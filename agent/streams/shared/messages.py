"""What the agent and its supervisor say to each other. Standard library only.

One JSON message per packet of a SOCK_SEQPACKET socket pair, file descriptors beside it. The
verbs are a closed set and carry names and numbers only: never C text, never a path.
"""

import json
import socket
from typing import Any

from agent.sections.probes import PROBES

MAX_MESSAGE = 128 * 1024
MAX_FDS = 64

VERBS = ("buffers", "prepare", "arm", "disarm", "rescope")

MAPS_FOR_THE_AGENT = (
    "batches",
    "counters",
    "slots",
    *(table.name for probe in PROBES for table in probe.tables),
)
"""Tables, and beside them the transport's buffers: with a program or a link it could attach."""

BUFFERS_AT_ONCE = 60
"""In one answer; a machine with more CPUs takes several."""


def encode(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def decode(packet: bytes) -> dict[str, Any]:
    """Raises ValueError for what is not a JSON object."""
    message = json.loads(packet)
    if not isinstance(message, dict):
        raise ValueError("a message is a JSON object")
    return message


def pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a channel."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
