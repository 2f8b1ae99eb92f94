"""What ``chainbench-agent runs --agent`` does: with the runs that a service keeps.

A service has no series, since each of its runs is one request.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from agent.client.http_client import AgentClient
from agent.nouns import counted
from agent.runs.listing import LISTED
from agent.runs.of_agent import CannotDelete, RunsOfAgent
from agent.runs.printing import print_document, print_entries, write_documents
from agent.runs.which import Wanted, check_one, selection_of
from agent.store.documents import document_of
from agent.store.errors import NotFound
from agent.store.rows import Summary, real, seconds, whole
from agent.store.run import LABELS, SERVICE, SHORT
from agent.store.selection import fields_of, is_selector
from agent.terminal import output as terminal
from agent.terminal.values import encodable, mapping, printable

Named = TypeVar("Named")


def list_runs(url: str, wanted: Wanted, most: int | None, as_document: bool) -> int:
    """Print the selected runs, the newest first; as a document, as the agent lists them."""
    fields = selection_of(wanted).fields
    found = RunsOfAgent(AgentClient.named(url)).listed(fields, wanted.since, wanted.until)
    if as_document:
        listed = [dict(row) for row in islice(found, most or None)]
        terminal.write(json.dumps({"runs": listed}, indent=1) + "\n")
        return 0
    print_entries([[_summary(row)] for row in found], LISTED if most is None else most, wanted)
    return 0


def show_run(url: str, name: str, everything: bool) -> int:
    """Print the run that is named, as ``show`` prints its file."""
    of_agent = RunsOfAgent(AgentClient.named(url))
    found = of_agent.matching(fields_of(name)) if is_selector(name) else [name]
    check_one(_some(found))
    [run] = of_agent.named(found[0])
    print_document(document_of([run], None), everything)
    return 0


def export_runs(url: str, wanted: Wanted, output: Path | None, folder: Path | None) -> int:
    """Write documents that ``show``, ``compare`` and ``runs import`` read."""
    of_agent = RunsOfAgent(AgentClient.named(url))
    runs = [run for name in wanted.ids for run in of_agent.named(name)]
    if (selection := wanted.selected) is not None:
        found = of_agent.selected(selection.fields, selection.since, selection.until)
        runs += _some(found)
    write_documents({run.id: document_of([run], None) for run in runs}, output, folder)
    return 0


def delete_runs(url: str, wanted: Wanted) -> int:
    """Delete runs, and say which; return 1 if some of them could not be."""
    of_agent = RunsOfAgent(AgentClient.named(url))
    ids = [of_agent.id_of(name) for name in wanted.ids]
    if (selection := wanted.selected) is not None:
        found = of_agent.matching(selection.fields, selection.since, selection.until)
        ids += reversed(_some(found))
    chosen, deleted = list(dict.fromkeys(ids)), []
    try:
        for run_id in chosen:
            try:
                of_agent.delete(run_id)
            except CannotDelete as error:
                terminal.complain(f"{printable(run_id[:SHORT])} is not deleted: {error}\n")
            else:
                deleted.append(run_id)
    finally:
        names = ", ".join(run_id[:SHORT] for run_id in deleted)
        if deleted:
            terminal.write(f"deleted {counted(len(deleted), 'run')}: {printable(names, 100_000)}\n")
    return 0 if deleted == chosen else 1


def _some(found: Sequence[Named]) -> Sequence[Named]:
    """Return what a selector names. Raises `NotFound` if that is nothing."""
    if not found:
        raise NotFound("no run that the agent keeps has all of that")
    return found


def _summary(row: Mapping[str, Any]) -> Summary:
    """Return what a line of a list needs. What an agent does not list is not known."""
    started_at = encodable(row.get("started_at"))
    labels = mapping(row.get("labels"))
    at = seconds(started_at, 0.0)
    return Summary(
        number=0,
        id=encodable(row.get("run_id")),
        series=None,
        side=None,
        round=None,
        counts=True,
        source=SERVICE,
        state=encodable(row.get("state")),
        verdict=encodable(row.get("verdict")),
        owner=None,
        copied=row.get("copied") is True,
        labels={name: encodable(labels.get(name)) for name in LABELS},
        kernel=encodable(row.get("kernel")),
        cpus=whole(row.get("cpus")),
        cpu_model="",
        started_at=started_at,
        at=at,
        kept_at=at,
        wall_ms=real(row.get("wall_ms")),
        exit_status=None,
        signal="",
        user_ms=None,
        system_ms=None,
        max_resident_bytes=None,
        words="",
        bytes=0,
    )
