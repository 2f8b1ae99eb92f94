"""A description of how a run was measured: kernel, hooks, versions."""

import os
import platform
from importlib.metadata import version
from typing import Any

from agent import __version__, this_machine
from agent.streams.collect.observed import Arming

LIBRARIES = ("trio", "numpy", "hdrhistogram", "quart", "hypercorn")
_VERSIONS = {"chainbench-agent": __version__, "python": platform.python_version()} | {
    name: version(name) for name in LIBRARIES
}
_MACHINE = this_machine.described()


def manifest(arming: Arming | None) -> dict[str, Any]:
    """Return machine and versions; also hooks, transport and timing if anything was armed."""
    described: dict[str, Any] = {
        **_MACHINE,
        "cpus": os.cpu_count(),  # some may have gone offline since
        "versions": dict(_VERSIONS),
    }
    if arming is None:
        return described
    described["versions"] |= arming.versions
    return described | {
        "hooks": {section: list(hooks) for section, hooks in arming.hooks.items()},
        "details": {detail: list(hooks) for detail, hooks in arming.details.items()},
        "transport": arming.transport,
        "timing": arming.timing,
    }
