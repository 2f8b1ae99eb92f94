"""What clients share with the agent, and nothing that takes long to import.

A client that runs a command begins it sooner without `agent.model` and ``dataclasses``, which
takes as long to import as a third of an interpreter.
"""

import re
from typing import Any

Json = dict[str, Any]
"""A JSON object: finite numbers, strings without lone surrogates, plain Python types only."""

LABEL_NAMES = ("scenario", "impl", "variant", "commit", "dataset")
"""Fields of `agent.model.Labels`."""
LONGEST_LABEL = 256
"""Characters in a label. A commit or a SHA-256 in hex has at most 64; each label is repeated in
about sixty lines of every scrape."""

VERDICTS = COMPLETE, DEGRADED, INVALID = "complete", "degraded", "invalid"
"""Verdicts on a run with evidence, from best to worst."""

TIMINGS = ("clock", "accounting")
"""By the clock, read at each event, or by the scheduler's own accounting (± 1 µs)."""

HOST, PORT = "127.0.0.1", 9090
"""Where an agent listens by default."""

MOST_RUNS = 1000
"""Of each side of a series or a comparison, whose evidence is all in memory: the exact tests take
time that grows with the third power, and there are a million differences between 1,000 and 1,000.
"""

COMPILE_DEADLINE_S = 45.0
"""A compilation takes 0.3 s. With 60 runnable tasks on two CPUs, some took more than 20 s. Our own
clients wait longer than this for an answer (ANSWER_TIMEOUT_S); /status tells them of another."""

DRAIN_INTERVAL_S = 1.0
"""The longest wait between two reads of the kernel's buffers; if one fills faster, the kernel wakes
the agent. A scrape folds what is there, so no client waits for this."""
LONGEST_USUAL_GAP_MS = 2 * DRAIN_INTERVAL_S * 1000
"""Of the times between two reads, which are a bit longer than the wait: an agent that was a whole
interval late got no CPU, or was stopped."""

CHALLENGE = 'Bearer realm="chainbench-agent"'
"""The value of ``WWW-Authenticate``, which has to come with each 401 (RFC 9110, 15.5.2). It is that
of no other service."""

PRIVATE = "CHAINBENCH_PRIVATE"
"""The variable of an agent that a client has started for itself: the client says what is to be said
of its runs, so the log has only what goes wrong."""

SERVICE_SOCKET = "/run/chainbench-agent/agent.sock"
"""Where a service listens, and ``run`` looks for it."""

NOT_IN_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters (including newline and NUL) and lone surrogates, which UTF-8 cannot encode."""


def in_words(error: BaseException) -> str:
    """Return what an error says, such as "/x: Permission denied"; its name if it says nothing."""
    what = getattr(error, "strerror", None) or str(error) or type(error).__name__
    file = getattr(error, "filename", None)
    return f"{file}: {what}" if file else what


def wrong_with_label(text: str) -> str | None:
    """Return what keeps a text from being a label, as the end of a sentence; None if nothing."""
    return wrong_with_text(text, LONGEST_LABEL)


def wrong_with_text(text: str, longest: int) -> str | None:
    """The same of a text that may have ``longest`` characters."""
    if len(text) > longest:
        return f"has {len(text)} characters; the limit is {longest}"
    if found := NOT_IN_TEXT.search(text):
        return (
            f"contains U+{ord(found[0]):04X} at position {found.start()}: "
            "control characters and lone surrogates are not allowed"
        )
    return None
