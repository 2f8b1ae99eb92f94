"""Why a control group lacks what a controller counts, and what would enable it."""

from pathlib import Path


def why_without(controller: str, group: Path) -> str:
    """Return why a control group has no such controller.

    A group has it if its parent hands it down, which must have it itself (cgroup-v2.rst).
    """
    text = f"the controller {controller} is not enabled for this control group"
    giver = next((above for above in group.parents if _has(controller, above)), None)
    if giver is None:
        return f"{text}, and none above has it (version 1 may have it)"
    below = "" if giver == group.parent else " and of those below it"
    return f"{text}; write +{controller} to cgroup.subtree_control of {giver}{below}"


def _has(controller: str, group: Path) -> bool:
    try:
        return controller in (group / "cgroup.controllers").read_text(errors="replace").split()
    except OSError:
        return False
