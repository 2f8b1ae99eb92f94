"""What ``doctor`` prints, and how it ends."""

import json
import sys
from collections import Counter
from collections.abc import Iterator

from agent.doctor.finding import Finding, State, failed, unknown
from agent.doctor.libraries import Libraries
from agent.nouns import counted
from agent.settings import Settings
from agent.streams.shared.support import LINUX
from agent.terminal import output as terminal
from agent.terminal.style import Style
from agent.terminal.values import printable
from agent.terminal.width import fit, left
from agent.words import in_words

NAME_COLUMNS = 22
STATE_COLUMNS = 9
LONGEST = 500
"""Characters of a line of a finding, which may quote another program."""


def doctor(settings: Settings, *, as_json: bool) -> int:
    """Print what is found, as it is found; return 1 if something needed is missing, else 0."""
    found = _json(settings) if as_json else _lines(settings)
    return 1 if State.FAILED in [finding.state for finding in found] else 0


def _findings(settings: Settings) -> Iterator[Finding]:
    for check, findings in _checks(settings):
        yield from _of(check, findings)


def _checks(settings: Settings) -> Iterator[tuple[str, Iterator[Finding]]]:
    """Yield checks by name; on another system than Linux those of what an agent serves with."""
    linux = LINUX.support()
    if linux.supported:
        from agent.doctor.on_linux import checks  # needs what only Linux has

        yield from checks(settings)
    else:
        libraries = Libraries()
        yield "linux", iter([failed("linux", linux.reason)])
        yield "libraries", libraries.findings()
        yield "service", libraries.service(settings)


def _of(check: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """Yield the findings of a check; what cannot be read ends it, and no other."""
    try:
        yield from findings
    except OSError as error:
        yield unknown(check, in_words(error))


def _lines(settings: Settings) -> list[Finding]:
    columns, style = terminal.columns(sys.stdout), Style(terminal.wants_color(sys.stdout))
    found = []
    for finding in _findings(settings):
        found.append(finding)
        terminal.write(fit(_line(finding, style), columns) + "\n")
    counts = Counter(finding.state for finding in found)
    good, questionable, bad = (counts[state] for state in State)
    terminal.write(f"\n{good} ok, {counted(questionable, 'warning')}, {bad} failed\n")
    return found


def _line(finding: Finding, style: Style) -> str:
    emphasis = {State.OK: style.good, State.WARNING: style.warning, State.FAILED: style.bad}
    state = emphasis[finding.state](left(finding.state, STATE_COLUMNS))
    # lines are a compiler's; those after the first cannot pass for findings
    text = "\n  ".join(printable(line, LONGEST) for line in finding.text.split("\n"))
    return f"{state}{left(finding.check, NAME_COLUMNS)} {text}"


def _json(settings: Settings) -> list[Finding]:
    found = list(_findings(settings))
    states = [finding.state for finding in found]
    worst = next((state for state in (State.FAILED, State.WARNING) if state in states), State.OK)
    document = {"state": worst, "checks": [finding._asdict() for finding in found]}
    terminal.write(json.dumps(document, indent=2) + "\n")
    return found
