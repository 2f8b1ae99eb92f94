"""Kept runs as rows of the tables, and back."""

import json
import shlex
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, get_type_hints

from agent import json_text
from agent.store.documents import is_id
from agent.store.run import LABELS, KeptRun
from agent.terminal.values import encodable, mapping, number
from agent.words import Json

COLUMNS = (
    *("id", "series", "side", "round", "counts", "source", "state", "verdict", "owner", "copied"),
    *(*LABELS, "kernel", "cpus", "cpu_model", "started_at", "at", "kept_at", "wall_ms"),
    *("exit_status", "signal", "user_ms", "system_ms", "max_resident_bytes", "words", "bytes"),
)
"""Columns of ``runs`` that are written; ``commit`` is a word of SQL, so all are quoted."""
QUICK = 3
"""Level of compression (zlib): level 6 takes twice as long for 3 % less."""
LONGEST_WORDS = 500
LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Summary:
    """What a list of runs shows of one, without its documents.

    ``series`` is the series's id. ``at`` is when it started, or else when it was kept; with
    ``kept_at`` in seconds since 1970. ``words`` is the command's line.
    """

    number: int
    id: str
    series: str | None
    side: str | None
    round: int | None
    counts: bool
    source: str
    state: str
    verdict: str
    owner: int | None
    copied: bool
    labels: Mapping[str, str]
    kernel: str
    cpus: int | None
    cpu_model: str
    started_at: str
    at: float
    kept_at: float
    wall_ms: float | None
    exit_status: int | None
    signal: str
    user_ms: float | None
    system_ms: float | None
    max_resident_bytes: int | None
    words: str
    bytes: int


SHOWN = ("number", *COLUMNS)


KINDS: Mapping[str, Any] = {
    **{name: kind for name, kind in get_type_hints(Summary).items() if name != "labels"},
    **dict.fromkeys(LABELS, str),
    **dict.fromkeys(("counts", "copied"), int),
}
"""What a value of a row is: a file from elsewhere may have any."""


def summary_of(row: Sequence[Any]) -> Summary:
    """Return a row of `SHOWN`, of which ``series`` is the series's id.

    Raises ValueError for a row that no store of ours has.
    """
    found = dict(zip(SHOWN, row, strict=True))
    for name, value in found.items():
        if not isinstance(value, KINDS[name]):
            raise ValueError(f"its {name} is {value!r:.40}")
    for name in ("id", "series"):
        if found[name] is not None and not is_id(found[name]):
            raise ValueError(f"its {name} is {found[name]!r:.40}, which is no id")
    labels = {name: found.pop(name) for name in LABELS}
    flags = {name: bool(found[name]) for name in ("counts", "copied")}
    return Summary(**{**found, **flags, "labels": labels})


class Packed(NamedTuple):
    """A run's documents as they are stored."""

    command: bytes
    evidence: bytes


def packed(run: KeptRun) -> Packed:
    return Packed(pack(run.command), pack(run.evidence))


def pack(value: Json) -> bytes:
    return zlib.compress(json.dumps(value, separators=(",", ":")).encode(), QUICK)


def unpack(data: bytes) -> Json:
    """Return a JSON object that was packed. Raises ValueError or zlib.error for what was not."""
    try:
        value = json_text.parse(zlib.decompress(data))
    except json_text.NotJson as error:
        raise ValueError(str(error)) from None
    if not isinstance(value, dict):
        raise ValueError("it is no object")
    return value


def row_of(run: KeptRun, series: int | None, documents: Packed) -> list[object]:
    """Return the values of `COLUMNS`. ``series`` is the number of the run's series."""
    command, manifest = run.command, mapping(run.evidence.get("manifest"))
    now = time.time()
    values = {
        **run.labels,
        "id": run.id,
        "series": series,
        "side": run.side,
        "round": run.round,
        "counts": run.counts,
        "source": run.source,
        "state": run.state,
        "verdict": encodable(run.verdict),
        "owner": run.owner,
        "copied": run.copied,
        "kernel": encodable(manifest.get("kernel")),
        "cpus": whole(manifest.get("cpus")),
        "cpu_model": encodable(manifest.get("cpu_model")),
        "started_at": run.started_at,
        "at": seconds(run.started_at, now),
        "kept_at": now,
        "wall_ms": real(run.wall_ms),
        "exit_status": whole(command.get("exit_status")),
        "signal": encodable(command.get("signal")),
        "user_ms": real(command.get("user_ms")),
        "system_ms": real(command.get("system_ms")),
        "max_resident_bytes": whole(command.get("max_resident_bytes")),
        "words": _words(command.get("arguments")),
        "bytes": sum(map(len, documents)),
    }
    return [values[name] for name in COLUMNS]


def run_of(found: Summary, documents: Packed) -> KeptRun:
    """Return a run as it was kept. Raises ValueError or zlib.error if its documents are broken."""
    return KeptRun(
        id=found.id,
        series=found.series,
        side=found.side,
        round=found.round,
        counts=found.counts,
        source=found.source,
        state=found.state,
        labels=found.labels,
        started_at=found.started_at,
        wall_ms=found.wall_ms,
        command=unpack(documents.command),
        evidence=unpack(documents.evidence),
        owner=found.owner,
        copied=found.copied,
    )


def seconds(iso: str, otherwise: float) -> float:
    """Return a time of ISO 8601 in seconds since 1970; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(iso)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return aware.timestamp()
    except (ValueError, OverflowError):
        return otherwise


def real(value: object) -> float | None:
    found = number(value)
    return None if found is None else float(found)


def whole(value: object) -> int | None:
    found = number(value)
    return int(found) if found is not None and abs(found) <= LARGEST else None


def _words(arguments: object) -> str:
    listed = arguments if isinstance(arguments, list) else []
    return encodable(shlex.join(map(str, listed)))[:LONGEST_WORDS]
