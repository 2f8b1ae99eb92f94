"""An interpreter that finds the standard library only, and what a test puts into its folder."""

import sysconfig
import venv
from pathlib import Path


def bare_python(folder: Path) -> Path:
    """Make a virtual environment in a folder, without pip; return its interpreter."""
    venv.create(folder, symlinks=True)
    return folder / "bin/python"


def site_packages(folder: Path) -> Path:
    """Return where libraries of a virtual environment in this folder are."""
    where = sysconfig.get_path("purelib", "venv", {"base": str(folder)})
    return Path(where)
