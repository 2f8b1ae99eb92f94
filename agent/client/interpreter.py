"""Our own interpreter running our own code, wherever and in whatever environment it is started."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGE_FOLDER = Path(__file__).parents[2]
"""Where this very package was imported from."""
RUN_MODULE = Path(__file__).with_name("run_module.py")


@dataclass(frozen=True, slots=True)
class Invocation:
    """A command, and all of the environment it is to be started with."""

    command: tuple[str, ...]
    environment: Mapping[str, str]


def own_module(module: str, *arguments: str, folder: Path = PACKAGE_FOLDER) -> Invocation:
    """Return how to run ``module`` of a package in ``folder`` with this interpreter.

    As root this would otherwise run whatever the working directory or a variable puts first. So
    nothing is taken from these:

    * ``-I`` ignores the working directory, every ``PYTHON*`` variable and the user's
      site-packages, where ``-P`` ignores only the first. The interpreter still finds the
      virtual environment it belongs to, and so an editable install.
    * ``-I`` alone would lose a package that is only on the path by ``PYTHONPATH``, as after
      ``pip install --target``, and with two copies installed it might run the other one.
      `RUN_MODULE` therefore puts ``folder`` on the path itself: the folder that this package is
      in, so the code that runs is the code that asked for it. What the package depends on is
      looked for in that folder and in the environment's site-packages, nowhere else.
    * ``-S`` leaves site-packages to `RUN_MODULE`, which adds them after ``folder``.
    * The variables are removed as well, since some interpreter further down may heed them.
    """
    command = (sys.executable, "-I", "-S", str(RUN_MODULE), str(folder), module, *arguments)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
    }
    return Invocation(command, environment)
