"""Kernel headers for bcc's own tools, which will not compile without; ours do."""

import os
import platform
import tempfile
from contextlib import ExitStack
from pathlib import Path

SOURCES = Path("/usr/src")
MODULES = Path("/lib/modules")
MINIMAL = Path(__file__).parent.parent / "agent/streams/probes/include"
"""The agent's own tree, enough for programs that read no kernel struct by name."""
VARIABLE = "BCC_KERNEL_SOURCE"


def installed_for_this_kernel() -> bool:
    return (MODULES / platform.release() / "build").is_dir()


def any_debian() -> tuple[Path, Path] | None:
    """Debian's pair of trees of any version: the common one and the architecture's."""
    for common in sorted(SOURCES.glob("linux-headers-*-common"), reverse=True):
        stem = common.name.removesuffix("common")
        for tree in SOURCES.glob(f"{stem}*"):
            if tree != common and (tree / "include/generated").is_dir():
                return common, tree
    return None


def available() -> bool:
    return VARIABLE in os.environ or installed_for_this_kernel() or any_debian() is not None


def environment(stack: ExitStack) -> dict[str, str]:
    """What to add to the environment of a bcc tool, good until ``stack`` is closed.

    Where the running kernel has no headers, those of another one serve tools that read no more
    than task_struct's oldest fields through its tracepoints; bcc takes one tree, so Debian's two
    are linked into one.
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
    """``cp -rs``: folders made anew, files linked."""
    for folder, _, files in os.walk(source):
        made = target / Path(folder).relative_to(source)
        made.mkdir(parents=True, exist_ok=True)
        for name in files:
            link = made / name
            if not link.exists():
                link.symlink_to(Path(folder) / name)
