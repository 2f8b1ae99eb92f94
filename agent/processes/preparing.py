"""What the serving process opens and reads before it drops its privileges.

Afterwards it can no longer: files of root's alone are closed to it, and so may be the folder that
its own library is in.
"""

import logging
import platform
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import trio

from agent import journal
from agent.http.access import Access, digest
from agent.http.certificate import BadCertificate, Certificate
from agent.http.settings import HttpSettings, local_host_names
from agent.processes import seccomp
from agent.processes.errors import CannotServe, complain
from agent.processes.exposure import is_exposed
from agent.processes.reloading import ReadAgain, read_pem
from agent.processes.tokens import read_tokens
from agent.settings import Settings
from agent.words import in_words

if TYPE_CHECKING:
    from agent.keeping.service import ServiceStore

LOGGER = logging.getLogger("agent")


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the process serves with, whoever it has become."""

    http: HttpSettings
    keeping: "ServiceStore | None"
    read_again: ReadAgain | None
    """Reads the certificate's files again; None without TLS."""


def prepare(settings: Settings, listeners: Sequence[socket.socket]) -> Prepared:
    """Read the tokens and the certificate, and find the store. Raises `CannotServe`."""
    token, read_token = read_tokens(settings)
    certificate = read_certificate(settings)
    http = HttpSettings(
        allowed_hosts=local_host_names(settings.host, settings.allowed_hosts),
        access=Access(
            _digest(token),
            _digest(read_token),
            exposed=any(map(is_exposed, listeners)),
            tls=certificate is not None,
        ),
        certificate=certificate,
        compile_deadline_s=settings.compile_deadline_s,
    )
    return Prepared(http, _keeping(settings), _read_again(settings))


def filter_calls() -> None:
    """Give up calls that this process never makes, once it has dropped its privileges."""
    why_not = seccomp.install()
    if why_not is not None:
        complain(
            "no seccomp filter keeps the serving process from bpf, perf_event_open, exec and"
            f" ptrace: {why_not}",
            journal.WARNING,
        )


def tell(access: Access) -> None:
    """Log what a stranger could do, if that is anything."""
    if access.mode == "insecure":
        LOGGER.warning(
            "--insecure: whoever can reach the port can start and stop runs and read all evidence"
        )
    elif access.exposed and not access.tls:
        LOGGER.warning(
            "tokens and evidence cross the network unencrypted: whoever reads it has the token"
        )


def read_certificate(settings: Settings) -> Certificate | None:
    """Return the certificate to serve with; None without TLS. Raises `CannotServe`."""
    if settings.tls_files is None:
        return None
    if platform.system() != "Linux":
        raise CannotServe("--tls-cert needs Linux, where files can be in memory (memfd_create(2))")
    try:
        return Certificate(read_pem(settings.tls_files))
    except (OSError, BadCertificate) as error:
        files = " and ".join(settings.tls_files)
        raise CannotServe(f"TLS cannot be served with {files}: {in_words(error)}") from error


def _read_again(settings: Settings) -> ReadAgain | None:
    """Return what reads the certificate's files as whoever this process has become by then."""
    if settings.tls_files is None:
        return None
    return partial(trio.to_thread.run_sync, read_pem, settings.tls_files)


def _keeping(settings: Settings) -> "ServiceStore | None":
    """Return what keeps the runs of this process, if they are to be kept."""
    if settings.data_dir is None:
        return None
    from agent.keeping.service import ServiceStore

    return ServiceStore(settings.data_dir)


def _digest(token: str | None) -> bytes | None:
    return None if token is None else digest(token)
