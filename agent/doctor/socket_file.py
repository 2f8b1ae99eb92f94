"""Whether ``serve`` could listen on the path of ``--socket``."""

import errno
import os

from agent.client.finding import NoAgent, named_agent
from agent.client.urls import UNIX
from agent.doctor.access import check_access
from agent.doctor.finding import Finding, failed, ok
from agent.http.unix_listener import explained, gid_to_have, is_abandoned
from agent.processes.errors import CannotServe
from agent.processes.launch import check_system_of_socket
from agent.settings import SocketFile
from agent.streams.shared import privileges
from agent.terminal.values import printable
from agent.words import in_words

CAP_CHOWN = 0
LONGEST = 500
"""Characters quoted of another program."""


def socket_file(wanted: SocketFile) -> Finding:
    """Look at the path, its folder and the group."""
    try:
        check_system_of_socket()
        with explained(wanted):
            _check_group(gid_to_have(wanted))
            return _found_at(wanted.path)
    except (CannotServe, OSError) as error:
        return failed("socket", in_words(error))


def _found_at(path: str) -> Finding:
    try:
        abandoned = is_abandoned(path)
    except FileNotFoundError:
        _check_folder_of(path)
        return ok("socket", f"{path} can be made")
    if abandoned:
        _check_folder_of(path)
        return ok("socket", f"{path} was left by an agent that is gone, and will be replaced")
    try:
        named_agent(f"{UNIX}{path}", "--socket")
    except NoAgent as error:
        said = printable(error, LONGEST)
        return failed("socket", f"what listens on {path} does not answer as an agent: {said}")
    return ok("socket", f"an agent listens on {path} already")


def _check_group(gid: int | None) -> None:
    """Raise OSError if a file cannot be given to this group (chown(2))."""
    if gid is None or gid in (os.getegid(), *os.getgroups()):
        return
    if not privileges.effective_capabilities() >> CAP_CHOWN & 1:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def _check_folder_of(path: str) -> None:
    """Raise OSError if no socket can be made there. The last folder may be missing."""
    folder = os.path.dirname(path)
    if os.path.lexists(folder):
        check_access(f"{folder}/", os.R_OK | os.W_OK | os.X_OK)
    else:
        check_access(f"{os.path.dirname(folder)}/", os.W_OK | os.X_OK)
