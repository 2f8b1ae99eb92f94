"""The token that an agent is sent over TCP: the user's secret, for agents that the user has named.

Never on a command line, which every process of the machine can read. Nor is it sent to an agent
that was only found: on the default port, another program may be listening.
"""

import contextlib
import os
import re
import shlex
from typing import NamedTuple

from agent.regular_files import read_regular

TOKEN, TOKEN_FILE = "CHAINBENCH_AGENT_TOKEN", "CHAINBENCH_AGENT_TOKEN_FILE"
"""Environment variables: the token itself, or the file that it is in. That of several agents may
have a line for each, of its URL and its token; a token alone is for all others."""
CA_FILE = "CHAINBENCH_AGENT_CA_FILE"
"""The variable that names a file with certificates (PEM), one of which has to vouch for the agent
over TLS, instead of those that the system trusts."""

LONGEST = 65536
"""Bytes of the file."""
SENDABLE = re.compile(r"[!-~]+", re.ASCII)


class NotAsked(OSError):
    """An agent is sent nothing; the text says why."""


class NoToken(NotAsked):
    """The token cannot be read."""


class Access(NamedTuple):
    """Where what is shown comes from; by default nothing is.

    ``unverified``: any certificate will do, since whoever has the port is only asked what it is.
    """

    given: str = ""
    file: str = ""
    ca_file: str = ""
    unverified: bool = False

    def token(self, url: str) -> str:
        """Return the token for the agent at a URL; empty if there is none. Raises `NoToken`."""
        found: str | None = self.given
        if not found and self.file:
            found = _meant_for(url.rstrip("/"), self._text())
        if found is None or (found and not SENDABLE.fullmatch(found)):
            where = TOKEN if self.given else self.file
            each = "" if self.given else ", or for several agents a line of URL and token for each"
            raise NoToken(f"what is in {where} is no token: that is one line of ASCII{each}")
        return found

    def lacking(self, url: str) -> str:
        """Return why an agent may have been sent no token, to be added to what it says itself.

        Empty if the token is given, or no file is named.
        """
        if self.given or not self.file:
            return ""
        what = f"has no token for {url}" if self._text().split() else "is empty"
        return f"; {self.file} {what}"

    def for_curl(self, url: str) -> list[str]:
        """Return words of a shell line with which curl shows the same to the agent at a URL.

        The token is not among them, but where the shell reads it.
        """
        words = []
        if self.ca_file and url.lower().startswith("https:"):
            words += ["--cacert", shlex.quote(self.ca_file)]
        with contextlib.suppress(NoToken):
            if self.token(url):
                words += ["-H", f'"Authorization: Bearer {self._read_by_shell(url)}"']
        return words

    def _read_by_shell(self, url: str) -> str:
        """Return what a shell replaces with the token, which there is."""
        if self.given:
            return f"${TOKEN}"
        lines = self._text().splitlines()
        own = [n for n, line in enumerate(lines, 1) if line.split()[-1:] == [self.token(url)]]
        return f"$(awk 'NR == {own[0]} {{print $NF}}' {shlex.quote(self.file)})"

    def _text(self) -> str:
        try:
            return read_regular(self.file, LONGEST).decode("ascii", "replace")
        except OSError as error:
            raise NoToken(f"the token in {self.file} cannot be read: {error.strerror}") from error


def _meant_for(url: str, text: str) -> str | None:
    """Return which token of a file is for an agent, maybe none (empty); None if it has no form."""
    tokens: dict[str, str] = {}
    for words in filter(None, map(str.split, text.splitlines())):
        *named, token = words
        owner = named[0].rstrip("/") if named else ""
        if len(named) > 1 or ("://" in words[0]) != bool(named) or owner in tokens:
            return None
        tokens[owner] = token
    return tokens.get(url, tokens.get("", ""))


NOTHING = Access()


def from_environment() -> Access:
    """Return what is for an agent that the user has named."""
    given, file, ca_file = (os.environ.get(name, "") for name in (TOKEN, TOKEN_FILE, CA_FILE))
    return Access(given, file, ca_file)
