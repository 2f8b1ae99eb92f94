"""Interpreters of ours that take no code from the caller's directory or environment.

A plain ``python -m`` started as root would run any code that the working directory, a ``PYTHON*``
variable or the user's site-packages put on the path. This module imports only what an interpreter
has loaded before it runs any code of ours, because `isolate` runs before the path can be trusted.
"""

import os
import sys

PACKAGE_FOLDER = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
"""The folder that this package was imported from."""
RUN_MODULE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run_module.py")


def isolated_command(module: str, *arguments: str, folder: str = PACKAGE_FOLDER) -> tuple[str, ...]:
    """Return the command that runs ``module`` of a package in ``folder`` with this interpreter.

    * ``-I`` ignores the working directory, every ``PYTHON*`` variable and the user's
      site-packages; ``-P`` ignores only the first of these. The interpreter still finds the
      virtual environment it belongs to, and with it an editable install.
    * ``-I`` alone would lose a package that is only on the path through ``PYTHONPATH``, as after
      ``pip install --target``. With two copies installed, it might run the wrong one.
      `RUN_MODULE` therefore adds ``folder`` to the path itself. By default this is the folder
      that contains this package, so the child runs the same code as its parent. The package's
      dependencies are imported from that folder and the environment's site-packages only.
    * ``-S`` leaves site-packages to `RUN_MODULE`, which adds them after ``folder``, at the first
      import of anything that may be there.
    """
    return (sys.executable, "-I", "-S", RUN_MODULE, folder, module, *arguments)


def isolate(module: str) -> None:
    """Start this process anew as ``module``, isolated, if its caller can have put code on its path.

    The process keeps its environment: the commands that it runs for the caller may need it.
    """
    if not sys.flags.isolated and _takes_from_caller():
        command = isolated_command(module, *sys.argv[1:])
        os.execv(command[0], command)


def _takes_from_caller() -> bool:
    """Whether a variable, the user's site-packages or the working directory affect the path."""
    if any(name.startswith("PYTHON") for name in os.environ):
        return True
    site = sys.modules.get("site")
    return getattr(site, "USER_SITE", None) in sys.path or not _working_directory().isdisjoint(
        sys.path
    )


def _working_directory() -> set[str]:
    """Return the names under which the working directory may be on the path."""
    try:
        return {"", os.getcwd()}
    except OSError:  # it was removed
        return {""}
