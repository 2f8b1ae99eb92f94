"""The error of settings that cannot be used, and how a process says what goes wrong early on."""

from agent import journal
from agent.terminal.output import complain as write

LONGEST = 4000
"""Characters of what is said; a path alone may have as many."""


class CannotServe(Exception):
    """The settings cannot be used on this machine; the text is for the user."""


def complain(text: str, priority: int = journal.ERROR) -> None:
    """Say why the agent does not start, or what it lacks; the journal gets it with a priority."""
    from agent.terminal.values import printable  # few agents have anything to say

    line = f"chainbench-agent: {printable(text, LONGEST)}\n"
    write(journal.prioritized(line, priority) if journal.is_journal() else line)
