"""Kernel headers for bcc's own tools, which do not compile without them; ours do."""

import os
import platform
import tempfile
from contextlib import ExitStack
from pathlib import Path

SOURCES = Path("/usr/src")
MODULES = Path("/lib/modules")
MINIMAL = Path(__file__).parent.parent / "agent/streams/probes/include"
"""The agent's own headers, enough for programs that do not access kernel structs by name."""
VARIABLE = "BCC_KERNEL_SOURCE"


def installed_for_this_kernel() -> bool:
    return (MODULES / platform.release() / "build").is_dir()


def any_debian() -> tuple[Path, Path] | None:
    """Return any version of Debian's two header trees: common and architecture-specific."""
    for common in sorted(SOURCES.glob("linux-headers-*-common"), reverse=True):
        stem = common.name.removesuffix("common")
        for tree in SOURCES.glob(f"{stem}*"):
            if tree != common and (tree / "include/generated").is_dir():
                return common, tree
    return None


def available() -> bool:
    return VARIABLE in os.environ or installed_for_this_kernel() or any_debian() is not None


def environment(stack: ExitStack) -> dict[str, str]:
    """Return the variables that a bcc tool needs, valid until ``stack`` is closed.

    If there are no headers for the running kernel, those of another kernel work for tools that only
    read task_struct's oldest fields in tracepoints. bcc accepts a single tree, so Debian's two are
    linked into one.
    """
    trees = any_debian()
    if VARIABLE in os.environ or installed_for_this_kernel() or trees is None:
        return {}
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="chainbench-headers-"))
    for tree in trees:
        for part in ("include", "arch"):
            _link(tree / part, Path(folder) / part)
    return {VARIABLE: folder}


def _link(source: Path, target: Path) -> None:
    """Copy like ``cp -rs``: create folders, symlink files."""
    for folder, _, files in os.walk(source):
        made = target / Path(folder).relative_to(source)
        made.mkdir(parents=True, exist_ok=True)
        for name in files:
            link = made / name
            if not link.exists():
                link.symlink_to(Path(folder) / name)
