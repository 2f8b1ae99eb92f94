"""Run our own code with our own interpreter, regardless of directory and environment."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGE_FOLDER = Path(__file__).parents[2]
"""The folder that this package was imported from."""
RUN_MODULE = Path(__file__).with_name("run_module.py")


@dataclass(frozen=True, slots=True)
class Invocation:
    """A command and the complete environment to start it with."""

    command: tuple[str, ...]
    environment: Mapping[str, str]


def own_module(module: str, *arguments: str, folder: Path = PACKAGE_FOLDER) -> Invocation:
    """Return the command that runs ``module`` of a package in ``folder`` with this interpreter.

    A plain ``python -m`` started as root would run any code that the working directory or an
    environment variable puts first on the path. To rule that out:

    * ``-I`` ignores the working directory, every ``PYTHON*`` variable and the user's
      site-packages; ``-P`` ignores only the first of these. The interpreter still finds the
      virtual environment it belongs to, and with it an editable install.
    * ``-I`` alone would lose a package that is only on the path through ``PYTHONPATH``, as after
      ``pip install --target``. With two copies installed, it might run the wrong one.
      `RUN_MODULE` therefore adds ``folder`` to the path itself. By default this is the folder
      that contains this package, so the child runs the same code as its parent. The package's
      dependencies are imported from that folder and the environment's site-packages only.
    * ``-S`` leaves site-packages to `RUN_MODULE`, which adds them after ``folder``.
    * The variables are removed from the environment too, in case the child starts another
      interpreter that honors them.
    """
    command = (sys.executable, "-I", "-S", str(RUN_MODULE), str(folder), module, *arguments)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
    }
    return Invocation(command, environment)
