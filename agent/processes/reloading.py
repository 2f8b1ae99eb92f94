"""A hangup has the certificate read again, so that a renewed one needs no restart."""

import logging
import os
import signal
import stat
import time
from collections.abc import Awaitable, Callable, Sequence

import trio

from agent.errors import AgentError
from agent.http.certificate import BadCertificate, Certificate, Pem
from agent.processes.service_manager import ServiceManager
from agent.regular_files import content
from agent.streams.shared.certificate_files import close_all, open_all
from agent.words import in_words

LOGGER = logging.getLogger("agent")

LARGEST = 1 << 20
"""Bytes. A chain of certificates has some thousands."""

ReadAgain = Callable[[], Awaitable[Pem]]
"""Reads the certificate's files. Raises OSError, `AgentError` or `BadCertificate`."""


def read_pem(paths: tuple[str, str]) -> Pem:
    """Return what is in the two files. Raises OSError, with the path where one is the cause."""
    return pem_of(open_all(paths))


def pem_of(fds: Sequence[int]) -> Pem:
    """Return what is in the open files of a certificate and its key, and close them.

    A group may have the key: there are some for that, such as Debian's ssl-cert. Others should not,
    but it is not refused as a token would be: other servers take it, Kubernetes mounts it like that
    (0644), and with ``--mock`` another user has to read it again. Raises OSError.
    """
    try:
        key_is_open = bool(os.fstat(fds[1]).st_mode & (stat.S_IROTH | stat.S_IWOTH))
        certificate, key = (content(fd, LARGEST) for fd in fds)
    finally:
        close_all(fds)
    return Pem(certificate, key, key_is_open)


async def reload_on_hangup(
    certificate: Certificate,
    read_again: ReadAgain,
    manager: ServiceManager,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Replace the certificate at each SIGHUP until cancelled; one that is bad changes nothing."""
    # what was there before is set again at the end, and ignores the signal
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            manager.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            await _reload(certificate, read_again)
            manager.tell("READY=1")


async def _reload(certificate: Certificate, read_again: ReadAgain) -> None:
    try:
        certificate.replace(await read_again())
    except (OSError, AgentError, BadCertificate) as error:
        LOGGER.error("the certificate is not reloaded, and the old one stays: %s", in_words(error))
    else:
        LOGGER.info("the certificate is reloaded: new connections use it")
        warn_of_faults(certificate)


def warn_of_faults(certificate: Certificate) -> None:
    """Log what is wrong with a certificate that is served all the same."""
    for fault in certificate.faults:
        LOGGER.warning("TLS: %s", fault)
