"""What the agent needs as a service: a user, a port, a socket, a folder. Nothing is made here."""

import os
import shutil
import stat
from collections.abc import Iterator
from typing import Any

from agent.client.access import Access
from agent.client.finding import OURS, NoAgent, named_agent
from agent.client.http_client import AgentClient, AgentRefused, AgentUnreachable
from agent.client.urls import UNIX
from agent.doctor.finding import Finding, failed, ok, warning
from agent.http.certificate import BadCertificate, Certificate
from agent.http.listener import open_listener, resolved
from agent.http.unix_listener import is_abandoned
from agent.processes import data_folder
from agent.processes.errors import CannotServe
from agent.processes.exposure import check_addresses
from agent.processes.launch import check_system_of_socket, uid_to_become
from agent.processes.reloading import read_pem
from agent.processes.tokens import read_tokens, requires_token
from agent.settings import Settings
from agent.words import CHALLENGE, in_words

TIMEOUT_S = 3.0
ROOM = 1 << 30
"""What the store may grow to by default (``runs limits``)."""


def service(settings: Settings) -> Iterator[Finding]:
    """Look at the port, the socket and the files that these settings name."""
    yield _port(settings)
    yield from _tokens(settings)
    yield from _tls(settings)
    yield from _socket(settings)
    try:
        uid = uid_to_become(settings)
    except CannotServe as error:
        yield failed("user", str(error))
        return
    becomes = f"uid {os.geteuid()}, which starts it" if uid is None else f"uid {uid}"
    unused = ", which nobody uses" if uid is not None and settings.user is None else ""
    yield ok("user", f"the HTTP process would run as {becomes}{unused}")
    yield from _data_folder(settings, uid)


def _port(settings: Settings) -> Finding:
    try:
        with open_listener(settings.host, settings.port):
            return ok("port", f"{settings.host}:{settings.port} is free")
    except OSError as error:
        return _taken(settings, error)


def _taken(settings: Settings, error: OSError) -> Finding:
    if _agent_listens(settings):
        return ok("port", f"an agent listens on {settings.host}:{settings.port} already")
    return failed(
        "port",
        f"{error.strerror}. Choose another with --port; `ss -ltnp sport = :{settings.port}`"
        " shows who has it",
    )


def _agent_listens(settings: Settings) -> bool:
    """Return whether an agent has the port: it gets no token, since it may be another program.

    Over TLS it need not be the holder of its certificate either, which may be for another name.
    """
    scheme = "http" if settings.tls_files is None else "https"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"{scheme}://{host}:{settings.port}"
    try:
        status = AgentClient(url, TIMEOUT_S, Access(unverified=True)).get("/status")
    except AgentRefused as refused:
        return refused.challenge == CHALLENGE
    except (AgentUnreachable, ValueError):
        return False
    return status.keys() >= OURS


def _tokens(settings: Settings) -> Iterator[Finding]:
    """Look at them whoever has the port: it may be the service that is about to be restarted."""
    try:
        check_addresses(settings, _addresses(settings), requires_token(settings))
        token, _ = read_tokens(settings)
    except CannotServe as error:
        yield failed("tokens", str(error))
        return
    if token is not None:
        yield ok("tokens", "a token is required over TCP, and its file can be used")


def _addresses(settings: Settings) -> list[tuple[Any, ...]]:
    try:
        *_, address = resolved(settings.host, settings.port)
    except OSError:  # which the port has been found to fail with
        return []
    return [address]


def _tls(settings: Settings) -> Iterator[Finding]:
    if settings.tls_files is None:
        return
    files = " and ".join(settings.tls_files)
    try:
        Certificate(read_pem(settings.tls_files))
    except (OSError, BadCertificate) as error:
        yield failed("tls", f"TLS cannot be served with {files}: {in_words(error)}")
    else:
        yield ok("tls", f"{files} are a certificate and its key")


def _socket(settings: Settings) -> Iterator[Finding]:
    if settings.socket is None:
        return
    path = settings.socket.path
    try:
        check_system_of_socket()
        kind = os.lstat(path).st_mode
    except CannotServe as error:
        yield failed("socket", str(error))
        return
    except OSError:
        yield _folder_of_socket(path)
        return
    if not stat.S_ISSOCK(kind):
        yield failed("socket", f"{path} is a file of another kind: remove it, or choose another")
    else:
        yield _of_existing_socket(path)


def _of_existing_socket(path: str) -> Finding:
    try:
        if is_abandoned(path):
            return ok("socket", f"{path} was left by an agent that is gone, and will be replaced")
        named_agent(f"{UNIX}{path}", "--socket")
    except OSError as error:
        return failed(
            "socket", f"{path}: {error.strerror}: start as root, or choose another folder"
        )
    except NoAgent as error:
        return failed("socket", f"another program listens on {path}: {error}")
    return ok("socket", f"an agent listens on {path} already")


def _folder_of_socket(path: str) -> Finding:
    folder = os.path.dirname(path)
    if os.path.isdir(folder) or os.path.isdir(os.path.dirname(folder)):
        return ok("socket", f"{path} can be made")
    return failed("socket", f"{folder} is missing: make the folder that it is to be in first")


def _data_folder(settings: Settings, uid: int | None) -> Iterator[Finding]:
    path = settings.data_dir
    if path is None:
        return
    if settings.user is None and os.getuid() == 0:
        yield failed("data_dir", "--data-dir needs --user when the agent is started as root")
        return
    try:
        there = data_folder.check(path, os.geteuid() if uid is None else uid)
    except OSError as error:
        yield failed("data_dir", in_words(error))
        return
    free = shutil.disk_usage(path if there else os.path.dirname(path)).free
    if free < ROOM:
        yield warning(
            "data_dir",
            f"{path} has {free >> 20:,} MiB of room, and may grow to 1 GiB: runs limits --size"
            " sets how much is kept",
        )
    else:
        what = "is this user's alone" if there else "is missing and will be made"
        yield ok("data_dir", f"{path} {what}")
