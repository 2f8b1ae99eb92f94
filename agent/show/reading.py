"""Evidence from a file, or what the file holds instead."""

import codecs
import contextlib
import os
import sys
from collections.abc import Mapping
from typing import IO, Any

from agent import json_text
from agent.model import EVIDENCE_SCHEMA
from agent.sections.probes import SECTIONS
from agent.show.missing import wrong_with
from agent.show.series import is_series
from agent.terminal.values import mapping, number, printable, rows
from agent.terminal.waiting import said_if_long
from agent.words import Json

BEGINNINGS = (
    (b"HTTP/", "it begins with HTTP headers: save the body alone (curl without -i)"),
    (b"<", "it is HTML or XML, so something other than the agent answered"),
    (b"# HELP ", "it is a page of /metrics; POST /stop and GET /evidence return evidence"),
    (b"\x1f\x8b", "it is compressed: decompress it first (gunzip)"),
)
"""What files that are not JSON begin with."""


STANDARD_INPUT = "-"
PIECE = 1 << 20
LARGEST = 256 << 20
"""Bytes of a file. A series has at most 1,000 runs, with tens of kilobytes of evidence each."""


class NotEvidence(Exception):
    """The text says what was read instead."""


def evidence_at(path: str) -> Json:
    """Return the evidence in a file (``-``: standard input). Raises `NotEvidence` and OSError."""
    if path == STANDARD_INPUT and sys.stdin is None:
        raise OSError("standard input is closed")
    try:
        if path == STANDARD_INPUT:
            return evidence_in(_read(sys.stdin.buffer))
        return evidence_in(_read_at(path))
    except MemoryError:
        raise NotEvidence("there is not enough memory for it") from None


def _read_at(path: str) -> bytes:
    with contextlib.ExitStack() as reading:
        # a pipe may have nobody who writes to it
        if os.path.exists(path) and not os.path.isfile(path):
            text = f"waiting for somebody to write to {printable(path)}\n"
            reading.enter_context(said_if_long(text))
        return _read(reading.enter_context(open(path, "rb")))


def _read(file: IO[bytes]) -> bytes:
    """Return what is in a file, which may be a pipe. Raises `NotEvidence` for one without end."""
    data = bytearray()
    while piece := file.read(PIECE):
        data += piece
        if len(data) > LARGEST:
            raise NotEvidence(f"it has more than {LARGEST >> 20} MiB, which no evidence has")
    return bytes(data)


def evidence_in(data: bytes) -> Json:
    """Return the evidence in what was read, or a series of runs. Raises `NotEvidence`.

    Evidence is recognized by ``available`` or a section, and has to show something; it may be of
    any version, and be changed. A run of a series may have none.
    """
    if not data.strip():
        raise NotEvidence("it is empty")
    for beginning, what in BEGINNINGS:
        if data.lstrip().startswith(beginning):
            raise NotEvidence(what)
    try:
        value = json_text.parse(_utf8(data))
    except json_text.NotJson as error:
        raise NotEvidence(f"it {error}") from None
    if not isinstance(value, dict):
        raise NotEvidence("it is JSON, but not one object, as evidence is")
    if wrong := json_text.wrong_number(value):
        raise NotEvidence(f"it {wrong}")
    if other := _other_answer(value) or _nothing_to_show(value):
        raise NotEvidence(other)
    return value


def _nothing_to_show(document: Json) -> str | None:
    return next(filter(None, map(wrong_with, _evidence_of_runs(document))), None)


def wrong_with_schema(document: Mapping[str, Any]) -> str | None:
    """Return why evidence may mean something else than this program thinks; None if it does not."""
    for evidence in _evidence_of_runs(document):
        if (schema := evidence.get("schema")) is None:  # the first agents gave none
            continue
        version = number(schema)
        if version is None:
            return "it is no evidence: its schema is no number"
        if version > EVIDENCE_SCHEMA:
            return (
                f"it is of schema {version:g}, and this program knows those up to"
                f" {EVIDENCE_SCHEMA}: use the chainbench-agent that wrote it, or a later one"
            )
    return None


def _evidence_of_runs(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if not is_series(document):
        return [document]
    found = (mapping(run.get("evidence")) for run in rows(document.get("runs")))
    return [evidence for evidence in found if evidence]


def _utf8(data: bytes) -> bytes:
    """Return UTF-16 with a byte order mark, which Windows shells write, as UTF-8."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace").encode("utf-8")
    return data


def _other_answer(value: Json) -> str | None:
    """Return what an object is that is not evidence; None for evidence."""
    if "error" in value:
        return f"it is an error that was answered: {value['error']}: {value.get('message')}"
    if value.get("status") == "started":
        return "it is the answer to POST /start; POST /stop returns the evidence"
    if value.get("status") == "metrics_reported":
        return "it is the answer to POST /report; POST /stop returns evidence"
    if "running" in value:
        return "it is the answer to GET /status; POST /stop and GET /evidence return evidence"
    if "workloads" in value and "machine" in value:
        return "it is a result of chainbench-agent overhead --json, not evidence"
    if _is_readable(value):
        return None
    if not value:
        return "it is an empty object"
    names = ", ".join(sorted(value)[:5])
    return f"it has neither available nor a section, as evidence has, but {names}"


def _is_readable(value: Json) -> bool:
    """Return whether an object is evidence, or a series of runs, each with its evidence."""
    return is_series(value) or "available" in value or any(name in value for name in SECTIONS)
