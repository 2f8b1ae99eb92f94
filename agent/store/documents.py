"""Documents as runs to keep, and kept runs as documents again.

A document is what ``show`` reads: the evidence of one run, or a series of ``run --json`` with the
evidence of each. It may come from any version of the agent, and from anyone: what is not as
expected is not known.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeGuard
from uuid import UUID, uuid5

from agent import json_text
from agent.store.run import ABORTED, FINISHED, LABELS, SIDES, STATES, KeptRun, KeptSeries
from agent.terminal.values import encodable, mapping, number, rows
from agent.words import Json

ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{5,63}", re.ASCII)
"""What a run's id may be; whatever else stands there is replaced by an id of the content's."""
NAMESPACE = UUID("6f0b2c1e-4f43-4d0f-9a3b-0f6d8a1c57e2")
"""Drawn at random once: ids of content are UUIDs of version 5 (RFC 9562) in it."""
ENDED_EARLY = "ended_early"
"""The reason that ``run`` gives for a run that somebody else ended."""
ASIDE = ("command", "state")
"""Fields of the document of one run that are not its evidence."""


def runs_of(document: Mapping[str, Any], source: str) -> list[KeptRun]:
    """Return the runs in a document, in its order.

    The same document always has the same ids: those of its evidence, or where a run has none of its
    own, one made from its content. So what is imported twice can be recognized. Runs that `compare`
    did not take for pairs are of the series that they were of then, if of any.
    """
    members = _members(document)
    ids = _ids(members)
    series = _series_id(document, ids) if is_series(document) else None
    seed, least = seed_in(document), min_effect_in(document)
    kept = [
        _kept(run, own, series, source, seed, least) for run, own in zip(members, ids, strict=True)
    ]
    return _apart(kept, document) if _compares_groups(document) else kept


def _compares_groups(document: Mapping[str, Any]) -> bool:
    """Return whether this is a saved comparison of runs that are no pairs."""
    why_no_pairs = mapping(document.get("compared")).get("why_no_pairs")
    return isinstance(why_no_pairs, str) and is_series(document)


def _apart(runs: Sequence[KeptRun], document: Mapping[str, Any]) -> list[KeptRun]:
    """Return the runs of a comparison with the series that each of them was of.

    The saved round is only the position in the group.
    """
    given = [row.get("series") for row in rows(document.get("runs"))]
    return [
        replace(run, series=own if is_id(own) else None, round=None)
        for run, own in zip(runs, given, strict=True)
    ]


def series_of(document: Mapping[str, Any]) -> KeptSeries | None:
    """Return the series that a document is; None for the evidence of one run."""
    if not is_series(document):
        return None
    summary = {name: value for name, value in document.items() if name != "runs"}
    return KeptSeries(_series_id(document, _ids(_members(document))), summary)


def seed_in(document: Mapping[str, Any]) -> int | None:
    """Return the seed that a series recorded; None if there is none that can be one."""
    seed = mapping(document.get("series")).get("seed")
    is_one = isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0
    return seed if is_one else None


def min_effect_in(document: Mapping[str, Any]) -> float | None:
    """Return the smallest difference that matters in a document; None if there is none that can.

    It is what `run` was given, or `compare` where that has saved the document.
    """
    least = number(mapping(document.get("series")).get("min_effect"))
    return least if least is not None and 0 < least <= 1 else None


def document_of(runs: Sequence[KeptRun], series: KeptSeries | None) -> Json:
    """Return a document that `runs_of` reads: of a series, or else of the only run."""
    if series is None:
        [run] = runs
        command = {"command": run.command} if run.command else {}
        return {**run.evidence, **command, "state": run.state}
    plan = {**mapping(series.summary.get("series")), "id": series.id}
    return {**series.summary, "series": plan, "runs": [_in_series(run) for run in runs]}


def is_series(document: Mapping[str, Any]) -> bool:
    return isinstance(document.get("series"), dict)


def same_content(one: KeptRun, other: KeptRun) -> bool:
    """Return whether two runs showed the same, and took the same if that is known of both."""
    commands = [run.command for run in (one, other) if run.command]
    same_command = len(commands) < 2 or _canonical(commands[0]) == _canonical(commands[1])
    return same_command and _canonical(one.evidence) == _canonical(other.evidence)


def is_id(value: object) -> TypeGuard[str]:
    """Return whether a value may be the id of a run or a series, and the name of its file."""
    return isinstance(value, str) and ID.fullmatch(value) is not None


class _Member(NamedTuple):
    """One run as a document has it, without what is not as expected."""

    side: str | None
    round: int | None
    counts: bool | None
    state: str | None
    command: Json
    evidence: Json
    interrupted: bool = False
    """Whether it is the last of a series that a signal ended, and does not count."""


def _members(document: Mapping[str, Any]) -> list[_Member]:
    if not is_series(document):
        evidence = {name: value for name, value in document.items() if name not in ASIDE}
        return [_member({**document, "evidence": evidence, "side": None, "round": None})]
    members = [_member(run) for run in rows(document.get("runs"))]
    if members and mapping(document["series"]).get("ended_by") == "signal":
        last = members[-1]
        members[-1] = last._replace(interrupted=last.counts is False)
    return members


def _member(run: Mapping[str, Any]) -> _Member:
    side, counts, state = run.get("side"), run.get("counts"), run.get("state")
    return _Member(
        side=side if side in SIDES else None,
        round=_round(run.get("round")),
        counts=counts if isinstance(counts, bool) else None,
        state=state if state in STATES else None,
        command=dict(mapping(run.get("command"))),
        evidence=dict(mapping(run.get("evidence"))),
    )


def _in_series(run: KeptRun) -> Json:
    return {
        "side": run.side,
        "round": None if run.round is None else run.round + 1,
        "counts": run.counts,
        "state": run.state,
        "command": run.command,
        "evidence": run.evidence,
    }


def _ids(members: Sequence[_Member]) -> list[str]:
    ids: list[str] = []
    for run in members:
        own = run.evidence.get("run_id")
        ids.append(own if is_id(own) and own not in ids else _id_of_content(run))
    return ids


def _series_id(document: Mapping[str, Any], ids: Sequence[str]) -> str:
    own = mapping(document.get("series")).get("id")
    return own if is_id(own) else str(uuid5(NAMESPACE, " ".join(ids)))


def _id_of_content(run: _Member) -> str:
    return str(uuid5(NAMESPACE, _canonical([run.side, run.round, run.command, run.evidence])))


def _canonical(value: object) -> str:
    """Return JSON that is the same before a value is saved and after it was read again."""
    read = json_text.parse(json.dumps(value).encode())
    return json.dumps(read, sort_keys=True)


def _kept(
    run: _Member,
    own: str,
    series: str | None,
    source: str,
    seed: int | None,
    min_effect: float | None,
) -> KeptRun:
    command, evidence = run.command, run.evidence
    return KeptRun(
        id=own,
        series=series,
        side=run.side,
        round=run.round,
        counts=_succeeded(command) if run.counts is None else run.counts,
        source=source,
        state=run.state or (ABORTED if _is_aborted(run) else FINISHED),
        labels=_labels(evidence),
        started_at=encodable(evidence.get("started_at")),
        wall_ms=_wall_ms(command, evidence),
        command=command,
        evidence=evidence,
        seed=seed,
        min_effect=min_effect,
    )


def _round(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value - 1 if 1 <= value < 2**31 else None


def _succeeded(command: Mapping[str, Any]) -> bool:
    """Return whether a command ended with status 0; of evidence without one nothing is wrong."""
    return not command or command.get("exit_status") == 0


def _is_aborted(run: _Member) -> bool:
    """Return whether a run ended before its time. A command that fails has ended by itself."""
    reasons = mapping(run.evidence.get("completeness")).get("reasons")
    listed = reasons if isinstance(reasons, list) else []
    early = any(str(reason).startswith(ENDED_EARLY) for reason in listed)
    return early or run.interrupted or run.command.get("signal") is not None


def _labels(evidence: Mapping[str, Any]) -> dict[str, str]:
    # the first agents had the machine next to the labels
    given = {"machine": evidence.get("machine"), **mapping(evidence.get("labels"))}
    return {name: encodable(given.get(name)) for name in LABELS}


def _wall_ms(command: Mapping[str, Any], evidence: Mapping[str, Any]) -> float | None:
    taken = number(command.get("wall_ms"))
    return number(mapping(evidence.get("wall")).get("wall_ms")) if taken is None else taken
