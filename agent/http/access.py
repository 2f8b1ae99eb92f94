"""Who may use the agent over TCP: whoever knows its token, where it has one.

Over a Unix socket no token is needed: there the kernel says who asks (`agent.http.peers`).

Only digests of the tokens are kept, and they are what is compared: `hmac.compare_digest` takes the
same time wherever two of them differ, and they have the same length whatever was sent. Both are
compared each time, so the time does not say which of the two was nearly right either.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Literal

from agent.errors import AgentError
from agent.http.guard import SAFE_METHODS
from agent.words import Json

Mode = Literal["loopback", "token", "insecure"]

SCHEME = "bearer"
"""The authentication scheme (RFC 6750), which is compared without regard to case."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a request over TCP must carry. By default nothing: only this machine can connect."""

    token: bytes | None = None
    """The `digest` of the token that may do everything; None if none is required."""
    read_token: bytes | None = None
    """The same of a second one, with which nothing can be changed; None if there is none."""
    exposed: bool = False
    """Whether other machines may connect."""
    tls: bool = False

    @property
    def mode(self) -> Mode:
        """What keeps strangers out: that they cannot connect, that they know no token, nothing."""
        if self.token is not None:
            return "token"
        return "insecure" if self.exposed else "loopback"

    def status(self) -> Json:
        """Return what ``/status`` says of this."""
        return {"mode": self.mode, "tls": self.tls}

    def check(self, method: str, authorization: str | None) -> None:
        """Raise `AgentError` (``unauthorized``, ``read_only_token``) if this request may not."""
        if self.token is None:
            return
        sent = digest(_token_in(authorization))
        full = hmac.compare_digest(sent, self.token)
        reads = self.read_token is not None and hmac.compare_digest(sent, self.read_token)
        if not (full or reads):
            raise _unauthorized(authorization)
        if not full and method not in SAFE_METHODS:
            raise AgentError(
                "this token may only read; starting, stopping, reporting and deleting need the"
                " other one (--token-file)",
                code="read_only_token",
            )

    def check_deletion(self) -> None:
        """Raise `AgentError` (``token_needed``) where no token is required to delete something.

        The request itself has been admitted by `check`.
        """
        if self.token is None:
            raise AgentError(
                "over TCP runs are deleted with a token only: start the agent with --token-file,"
                " ask over its Unix socket, or use runs delete --store",
                code="token_needed",
            )


def digest(token: str) -> bytes:
    """Return what is kept of a token, and compared."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _token_in(authorization: str | None) -> str:
    """Return the bearer token of a header's value; empty if there is none, which no token is."""
    scheme, _, token = (authorization or "").strip().partition(" ")
    return token.strip() if scheme.lower() == SCHEME else ""


def _unauthorized(authorization: str | None) -> AgentError:
    wrong = "the token is wrong" if _token_in(authorization) else "this agent requires a token"
    return AgentError(
        f"{wrong}: send it as Authorization: Bearer TOKEN; chainbench-agent's own commands take it"
        " from CHAINBENCH_AGENT_TOKEN_FILE or CHAINBENCH_AGENT_TOKEN",
        code="unauthorized",
    )
