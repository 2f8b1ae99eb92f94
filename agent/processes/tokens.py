"""The tokens of the HTTP side, from files of their owner's alone or from systemd's credentials.

Standard library only: the privileged process imports this, to know whether there are any, and does
not read them.
"""

import os
import re
import stat

from agent.processes.errors import CannotServe
from agent.regular_files import open_regular
from agent.settings import Settings

CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""The variable in which systemd names the folder of a service's credentials (systemd.exec(5))."""
TOKEN_CREDENTIAL, READ_TOKEN_CREDENTIAL = "chainbench-agent-token", "chainbench-agent-read-token"
"""Names of files in that folder."""

LEAST, MOST = 16, 4096
"""Characters. 16 of base64 are 96 bits, which nobody guesses over a network."""
TOKEN = re.compile(rf"[A-Za-z0-9._~+/-]{{{LEAST},{MOST}}}=*", re.ASCII)
"""What a bearer token may look like (b64token in RFC 6750, section 2.1)."""
MAKE_ONE = "(umask 077; openssl rand -hex 32 > FILE) makes one"


def requires_token(settings: Settings) -> bool:
    """Return whether a token is configured, without reading it."""
    return _source(settings.token_file, TOKEN_CREDENTIAL) is not None


def read_tokens(settings: Settings) -> tuple[str | None, str | None]:
    """Return the token and the one that may only read, each None without one.

    Raises `CannotServe`, with the file and the cure.
    """
    token = _token(settings.token_file, TOKEN_CREDENTIAL)
    read_token = _token(settings.read_token_file, READ_TOKEN_CREDENTIAL)
    if read_token is not None and token is None:
        raise CannotServe("a token that may only read needs one that may do more: --token-file")
    if token is not None and token == read_token:
        raise CannotServe("the two tokens are the same: one of them may only read")
    return token, read_token


def _source(file: str | None, credential: str) -> tuple[str, bool] | None:
    """Return the file of a token, and whether its permissions are to be checked; None: no token.

    systemd keeps credentials where nobody else can reach them, and shows the access that an ACL
    gives to the service's user as if it were the group's.
    """
    if file is not None:
        return file, True
    folder = os.environ.get(CREDENTIALS)
    path = os.path.join(folder, credential) if folder else ""
    return (path, False) if path and os.path.exists(path) else None


def _token(file: str | None, credential: str) -> str | None:
    source = _source(file, credential)
    if source is None:
        return None
    path, is_checked = source
    try:
        with open(open_regular(path), "rb") as opened:
            if is_checked:
                _check(os.fstat(opened.fileno()), path)
            text = opened.read(MOST + 100)
    except OSError as error:
        raise CannotServe(f"the token in {path} cannot be read: {error.strerror}") from error
    token = text.decode("ascii", "replace").strip()
    if not TOKEN.fullmatch(token):
        raise CannotServe(
            f"{path} holds no token: that is one line of {LEAST} to {MOST} letters, digits and"
            f" -._~+/=; {MAKE_ONE}"
        )
    return token


def _check(found: os.stat_result, path: str) -> None:
    """Raise `CannotServe` if others can read, or have written, what is in the file."""
    if found.st_uid not in (0, os.geteuid()):
        raise CannotServe(
            f"the token in {path} belongs to uid {found.st_uid}, who could change it: chown it to"
            f" uid {os.geteuid()}"
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise CannotServe(f"others may read the token in {path}: chmod 600 {path}")
