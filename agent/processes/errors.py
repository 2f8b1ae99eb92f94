"""The error of settings that cannot be used, and how a process says what goes wrong early on."""

from agent import journal
from agent.terminal.output import complain as write


class CannotServe(Exception):
    """The settings cannot be used on this machine; the text is for the user."""


def complain(text: str, priority: int = journal.ERROR) -> None:
    """Say why the agent does not start, or what it lacks; the journal gets it with a priority."""
    line = f"chainbench-agent: {text}\n"
    write(journal.prioritized(line, priority) if journal.is_journal() else line)
