"""Names of what tasks are blocked in."""

from agent.streams.shared.layout import REASON_NAMES
from agent.streams.shared.syscall_names import syscall_name


def reason_name(reason: int) -> str:
    """Return the syscall's name, or the name of a reason that is not a syscall."""
    return REASON_NAMES.get(reason) or syscall_name(reason)
