"""Run our own code with our own interpreter, regardless of directory and environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.client import isolation

PACKAGE_FOLDER = Path(isolation.PACKAGE_FOLDER)
"""The folder that this package was imported from."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """A command and the complete environment to start it with."""

    command: tuple[str, ...]
    environment: Mapping[str, str]


def own_module(module: str, *arguments: str, folder: Path = PACKAGE_FOLDER) -> Invocation:
    """Return the invocation of ``module`` of a package in ``folder``, isolated from the caller.

    `isolation.isolated_command` explains how. The variables that it ignores are removed from the
    environment too, in case the child starts another interpreter that honors them.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
    }
    command = isolation.isolated_command(module, *arguments, folder=str(folder))
    return Invocation(command, environment)
