"""What is checked on Linux, in the order in which it is printed."""

from collections.abc import Iterator

from agent.doctor.collecting import bcc, kernel, lockdown, resource_limits
from agent.doctor.finding import Finding
from agent.doctor.libraries import Libraries
from agent.doctor.machine import machine
from agent.doctor.second import second
from agent.doctor.tracers import tracers
from agent.settings import Settings


def checks(settings: Settings) -> Iterator[tuple[str, Iterator[Finding]]]:
    """Yield the name of each check with what it finds, which is found as it is read."""
    libraries = Libraries()
    yield "kernel", kernel()
    yield "libraries", libraries.findings()
    yield "bcc", bcc()
    yield "lockdown", lockdown()
    yield "limits", resource_limits()
    yield "service", libraries.service(settings)
    yield "machine", machine()
    yield "other_tracers", tracers()
    yield "collection", second(settings)
