"""One real second of collection, by an agent that is started for it."""

import time
from collections.abc import Iterator

from agent.client.http_client import AgentRefused, AgentUnreachable
from agent.client.spawn import AgentDidNotStart, running_agent
from agent.doctor.finding import Finding, failed, ok, warning
from agent.settings import Settings
from agent.terminal.evidence import NEITHER_SECTION_NOR_DETAIL
from agent.terminal.values import count, mapping, milliseconds, printable
from agent.words import Json

SECOND = 1.0
PASSING = ("unmatched", "unseen")
"""Reasons that depend on what else runs, so the next second may be without them."""
AGAIN = "Try again: if it stays so, runs will be degraded likewise, and say how much they lack"


def second(settings: Settings) -> Iterator[Finding]:
    """Collect for a second, with the settings of the agent that is to be started."""
    if settings.mock:
        yield warning("collection", "not tried: with --mock nothing is measured")
        return
    try:
        with running_agent(_arguments(settings)) as agent:
            agent.allow_compiling(settings.compile_deadline_s)
            began = time.monotonic()
            started = agent.post("/start", {"scenario": "doctor"})
            armed_s = time.monotonic() - began
            time.sleep(SECOND)
            evidence = agent.post("/stop")
    except (AgentDidNotStart, AgentRefused, AgentUnreachable) as error:
        yield failed("collection", printable(str(error), 500))
        return
    yield from _sections(started, armed_s)
    yield _collected(evidence)


def _arguments(settings: Settings) -> list[str]:
    user = [] if settings.user is None else ["--user", settings.user]
    deadline = f"{settings.compile_deadline_s:f}s"
    return [
        *("--timing", settings.timing, "--transport", settings.transport),
        *("--compile-deadline", deadline, *user),
    ]


def _sections(started: Json, armed_s: float) -> Iterator[Finding]:
    """Yield whether each section could be armed: its tracepoints are there, and attach."""
    if armed := started.get("armed"):
        yield ok("tracepoints", f"armed in {armed_s:.2f} s: {', '.join(armed)}")
    for section, why in mapping(started.get("unavailable")).items():
        what = NEITHER_SECTION_NOR_DETAIL.get(section, f"{section} cannot be measured")
        yield warning("tracepoints", f"{what}: {printable(why, 500)}")


def _collected(evidence: Json) -> Finding:
    """Return what became of the second."""
    if not evidence["available"]:
        return failed("collection", str(evidence.get("reason")))
    whole = evidence["completeness"]
    verdict, cost = whole["verdict"], mapping(evidence.get("overhead"))
    lost = sum(mapping(stream).get("lost", 0) for stream in whole["streams"].values())
    said = f"{verdict}: {count(cost.get('events'))} events in a second, {count(lost)} lost"
    if verdict == "complete":
        took = milliseconds(cost.get("agent_cpu_ms"))
        return ok("collection", f"{said}; the agent took {took} of CPU time")
    why = printable("; ".join(whole["reasons"]), 500)
    codes = {reason.partition(":")[0] for reason in whole["reasons"]}
    cure = f". {AGAIN}" if codes.issubset(PASSING) else ""
    return (failed if verdict == "invalid" else warning)("collection", f"{said}. {why}{cure}")
