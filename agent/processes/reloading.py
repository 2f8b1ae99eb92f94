"""A hangup has the certificate read again, so that a renewed one needs no restart."""

import logging
import signal
import time
from collections.abc import Awaitable, Callable

import trio

from agent.errors import AgentError
from agent.http.certificate import BadCertificate, Certificate, Pem
from agent.processes.service_manager import ServiceManager
from agent.streams.shared.certificate_files import open_all, read_all
from agent.words import in_words

LOGGER = logging.getLogger("agent")

ReadAgain = Callable[[], Awaitable[Pem]]
"""Reads the certificate's files. Raises OSError, `AgentError` or `BadCertificate`."""


def read_pem(paths: tuple[str, str]) -> Pem:
    """Return what is in the two files. Raises OSError, with the path where one is the cause."""
    return Pem(*read_all(open_all(paths)))


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
