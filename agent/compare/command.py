"""``chainbench-agent compare``: compare groups of runs that were kept, and say what differs."""

import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from agent import json_text
from agent.client.http_client import AgentClient
from agent.compare.decision import decide
from agent.compare.library import OwnStore
from agent.compare.newest import newest_that_count
from agent.compare.original import Measured, original_evidence
from agent.compare.selecting import NoRuns, one_group, two_sides
from agent.comparison.comparable import NoRunCounts, NotComparable
from agent.comparison.equals import compare_equals
from agent.comparison.kept import Asked, compare_groups
from agent.report.library import CannotDraw, cannot_draw, drawn_page
from agent.runs.of_agent import RunsOfAgent
from agent.show.brief import brief
from agent.show.markdown import markdown
from agent.show.text import render
from agent.terminal import output as terminal
from agent.terminal.files import save, why_refused
from agent.terminal.values import printable, rows
from agent.words import Json

FAILED = 1
FILE_COLUMNS = 80
TEXT, MARKDOWN, JSON = "text", "markdown", "json"


class Request(NamedTuple):
    """What to compare, what to print of it and where, and what makes it fail."""

    arguments: Sequence[str]
    asked: Asked = Asked()
    is_aa: bool = False
    form: str = TEXT
    everything: bool = False
    output: Path | None = None
    html: Path | None = None
    """A file for a report with pictures, next to what is printed."""
    fail_if_slower: float | None = None
    strict: bool = False
    agent: str | None = None
    """The URL of the agent whose runs to compare; None: those of this user."""


def compare(request: Request) -> int:
    """Compare runs, print the result, and return an exit status.

    1: nothing could be compared, or the result not written. With ``fail_if_slower`` it is that of
    `agent.compare.decision`, else 0.
    """
    if why := _cannot_report(request):
        return _fail(why)
    try:
        document = _document(request)
    except NoRuns as error:
        return _fail(str(error))
    except NotComparable as error:
        for reason in error.refusals:
            _say(f"not compared: {reason.why}\n  {reason.cure}")
        return FAILED
    if not (_draw(request.html, document) and _print(request, _as_text(request, document))):
        return FAILED
    if request.fail_if_slower is None:
        return 0
    decision = decide(document["comparison"], request.fail_if_slower, strict=request.strict)
    if decision.why:
        _say(decision.why)
    return decision.status


def _cannot_report(request: Request) -> str | None:
    """Return what keeps the report from being made, before anything is compared."""
    if request.html is not None and (why := cannot_draw()):
        return why
    written = [path for path in (request.output, request.html) if path is not None]
    return why_refused(written, _inputs(request))


def _inputs(request: Request) -> list[Path]:
    """Return what may be files that are read: every argument, and each of a list."""
    names = {name for text in request.arguments for name in (text, *text.split(","))}
    return [Path(name.strip()) for name in names if name and "\0" not in name]


def _document(request: Request) -> Json:
    """Return what the comparison found. Raises `NoRuns` or `NotComparable`."""
    own = RunsOfAgent(AgentClient.named(request.agent)) if request.agent else OwnStore()
    with contextlib.closing(own) as library:
        if request.is_aa:
            group = one_group(request.arguments[0], library)
            document = compare_equals(group, request.asked)
        else:
            sides = two_sides(request.arguments, library)
            try:
                document = compare_groups(*sides, request.asked)
            except NoRunCounts as error:
                if isinstance(library, OwnStore):
                    cure = newest_that_count(request.arguments, library)
                    raise _with_cure(error, cure) from error
                raise  # a file's: what an agent keeps are no commands, so each of its runs counts
    texts = [*request.arguments, *request.arguments][:2]
    document["compared"]["selected"] = dict(zip(("baseline", "optimized"), texts, strict=True))
    return document


def _with_cure(error: NoRunCounts, arguments: str) -> NoRunCounts:
    """Return the error with what to type in its place, if that is known."""
    if not arguments:
        return error
    cure = f"the newest that count: chainbench-agent compare {arguments}"
    return NoRunCounts([reason._replace(cure=cure) for reason in error.refusals])


def with_original_evidence(document: Json) -> Json:
    """Return the document, and in it the evidence as the original's readers parse it."""
    baseline, optimized = (
        [
            Measured(row["id"], row["wall_ms"], row["evidence"])
            for row in rows(document["runs"])
            if row["side"] == side
        ]
        for side in ("baseline", "optimized")
    )
    found = original_evidence(baseline, optimized)
    is_mock = any(row["evidence"].get("mock") is True for row in rows(document["runs"]))
    return {"evidence": {**found, **({"mock": True} if is_mock else {})}, **document}


def _as_text(request: Request, document: Json) -> str:
    if request.form == JSON:
        strict = json_text.without_nan(with_original_evidence(document))
        return json.dumps(strict, indent=1, allow_nan=False) + "\n"
    if request.form == MARKDOWN:
        return markdown(document, whole=request.everything)
    is_for_screen = request.output is None
    width = terminal.columns(sys.stdout) if is_for_screen else FILE_COLUMNS
    color = is_for_screen and terminal.wants_color(sys.stdout)
    report = render if request.everything else brief
    return report(document, width=width, color=color)


def _print(request: Request, text: str) -> bool:
    """Print the result, or write it to its file; return whether that was possible."""
    if request.output is None:
        terminal.write(text)
        return True
    return _save(request.output, text)


def _draw(path: Path | None, document: Json) -> bool:
    """Save the report with pictures, if asked for; return whether that was possible."""
    if path is None:
        return True
    try:
        return _save(path, drawn_page(document))
    except CannotDraw as error:
        _say(f"cannot draw {printable(path)}: {error}")
        return False


def _save(path: Path, text: str) -> bool:
    if why := save(path, text):
        _say(f"cannot write {printable(path)}: {why}")
        return False
    return True


def _fail(why: str) -> int:
    _say(why)
    return FAILED


def _say(text: str) -> None:
    said = "\n".join(printable(line, 2000) for line in text.splitlines())
    terminal.complain(f"chainbench-agent compare: {said}\n")
