"""What the agent needs as a service: a user, a port, a socket, a folder. Nothing is made here."""

import errno
import os
from collections.abc import Iterator
from typing import Any

from agent.client.access import Access
from agent.client.finding import OURS
from agent.client.http_client import AgentClient, AgentRefused, AgentUnreachable
from agent.doctor.as_user import as_user
from agent.doctor.data_folder import folder_of_runs
from agent.doctor.finding import Finding, failed, ok, unknown, warning
from agent.doctor.socket_file import socket_file
from agent.http.listener import open_listener, resolved
from agent.processes.errors import CannotServe
from agent.processes.exposure import check_addresses
from agent.processes.launch import uid_to_become
from agent.processes.preparing import read_certificate
from agent.processes.tokens import read_tokens, requires_token
from agent.settings import Settings
from agent.streams.shared.namespaces import why_proc_lacks_us
from agent.words import CHALLENGE, in_words

TIMEOUT_S = 3.0


def service(settings: Settings) -> Iterator[Finding]:
    """Look at the port, the socket and the files that these settings name."""
    yield _port(settings)
    yield from _tokens(settings)
    yield from _tls(settings)
    if settings.socket is not None:
        yield socket_file(settings.socket)
    try:
        uid = uid_to_become(settings)
        as_user(uid, str)  # it has only to become that user
    except (CannotServe, OSError) as error:
        yield failed("user", in_words(error))
        return
    becomes = f"uid {os.geteuid()}, which starts it" if uid is None else f"uid {uid}"
    said = f"the HTTP process would run as {becomes}"
    if uid is None or settings.user is not None:
        yield ok("user", said)
    elif why := why_proc_lacks_us():
        yield unknown("user", f"{said}, which others may use: {why}")
    else:
        yield ok("user", f"{said}, which nobody uses")
    if settings.data_dir is not None:
        yield folder_of_runs(settings, settings.data_dir, uid)


def _port(settings: Settings) -> Finding:
    try:
        with open_listener(settings.host, settings.port):
            return ok("port", f"{settings.host}:{settings.port} is free")
    except OSError as error:
        return _taken(settings, error)


def _taken(settings: Settings, error: OSError) -> Finding:
    may_be_taken = error.errno in (errno.EADDRINUSE, errno.EACCES)
    if may_be_taken and _agent_listens(settings):
        return ok("port", f"an agent listens on {settings.host}:{settings.port} already")
    return failed("port", f"{error.strerror}. {_cure(settings, error)}")


def _cure(settings: Settings, error: OSError) -> str:
    """Return what to do: some other program may have the port, or nobody can have it."""
    if error.errno == errno.EADDRINUSE:
        who = f"`ss -ltnp sport = :{settings.port}` shows who has it"
        return f"Choose another with --port; {who}"
    if error.errno == errno.EACCES:
        return "Choose another with --port: this one needs CAP_NET_BIND_SERVICE"
    return "--host takes an address of this machine, or a name of one"


def _agent_listens(settings: Settings) -> bool:
    """Return whether an agent has the port, with TLS or without: it may be restarted for that."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    schemes = ("http", "https") if settings.tls_files is None else ("https", "http")
    return any(_is_agent(f"{scheme}://{host}:{settings.port}") for scheme in schemes)


def _is_agent(url: str) -> bool:
    """Return whether an agent answers: it gets no token, since it may be another program.

    Over TLS it need not be the holder of its certificate either, which may be for another name.
    """
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
    try:
        certificate = read_certificate(settings)
    except CannotServe as error:
        yield failed("tls", str(error))
        return
    if certificate is None:
        return
    files = " and ".join(settings.tls_files or ())
    for fault in certificate.faults:
        yield warning("tls", f"{files}: {fault}")
    if not certificate.faults:
        yield ok("tls", f"{files} are a certificate and its key")
