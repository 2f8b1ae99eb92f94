"""The page on evidence lists every field, and no other. See test_docs.py."""

import re
import subprocess
from pathlib import Path

import pytest
from fakes import fleet, procfs
from fakes.busy_runs import every_run, paths
from fakes.pages import DOCS, ROOT, hold, names, quoted
from fakes.real_agent import running
from fakes.source_text import first_arguments, keys_assigned_in

from agent.fleet.merging import with_merged
from agent.fleet.sections import MERGED
from agent.sections.probes import DETAILS, SECTIONS
from agent.streams.shared import layout

EVIDENCE = DOCS / "reference/evidence.md"


def test_the_streams_that_evidence_accounts_for() -> None:
    page = EVIDENCE.read_text()
    sentence = page[page.index("\nThe streams are ") :].split("\n\n")[0]
    assert {*layout.STREAM_NAMES, "offcpu"} <= set(quoted(sentence))


LATENCIES = ("runqlat", "biolatency", "biolatency.with_queue", "softirq.by_vector[]")
"""Objects that share the fields of a latency section."""
HEADINGS = (
    "The document",
    "`wall`",
    "CPU quota and stolen time",
    "`timeline`",
    *(f"`{section}`" for section in SECTIONS),
    "`syscall_details`",
    "Completeness",
    "Checks",
    "Overhead",
)


def documented_evidence() -> set[str]:
    listed = {name for heading in HEADINGS for name in names(EVIDENCE, heading)}
    shared = names(EVIDENCE, "Latency fields")
    return listed | {f"{place}.{name}" for place in LATENCIES for name in shared}


async def test_every_field_of_the_evidence() -> None:
    in_code = {path for _, evidence in await every_run() for path in paths(evidence)}
    # as far as this machine has them
    in_code = {path for path in in_code if not path.startswith("procfs.")}
    hold(EVIDENCE, "all tables", in_code, documented_evidence())


def test_every_field_of_several_machines() -> None:
    """The sections in it are documented by how they are made."""
    heading = "Several machines"
    whole = with_merged(fleet.document(fleet.of_machine(mock=True), reasons=["gone"]))
    none = with_merged(fleet.document(reasons=["gone"], available=False, reason="x"))
    shown = {*paths({"fleet": whole["fleet"]}), *paths({"fleet": none["fleet"]})}
    own = {re.sub(r"evidence\..*", "evidence", path) for path in shown}
    sections = {f"fleet.merged.{section}" for section in MERGED}
    in_code = {path for path in own if not path.startswith(tuple(sections))}
    in_code |= sections | {"fleet.merged.<section>.machines", "fleet.merged.biolatency.with_queue"}
    in_code |= {"machine_missing", "same_machine", "not_merged"}
    hold(EVIDENCE, heading, in_code, names(EVIDENCE, heading))


async def test_every_field_of_totals_from_proc(tmp_path: Path) -> None:
    tasks = (procfs.of_tree(), await procfs.of_group(tmp_path))
    sections = [{"measured_ms": 1.0, "machine": procfs.machine(), "tasks": one} for one in tasks]
    in_code = {path for section in sections for path in paths({"procfs": section})}
    in_code |= {
        *("procfs.no_totals", "procfs.no_tasks", "procfs.machine.stolen_ms"),
        *(f"procfs.tasks.missing[].{n}" for n in ("figures[]", "reason")),
    }
    hold(EVIDENCE, "`procfs`", in_code, names(EVIDENCE, "`procfs`"))
    of_this_machine = {
        path
        for _, evidence in await every_run()
        for path in paths(evidence)
        if path.startswith("procfs.")
    }
    assert of_this_machine
    assert of_this_machine <= in_code


@pytest.mark.kernel
def test_every_field_of_real_evidence() -> None:
    """Catch fields that the made-up run above may have left out."""
    with running() as real:
        everything = {"sections": list(SECTIONS), "details": list(DETAILS)}
        for body in ({}, {"scope": "caller", "measure_probes": True, **everything}):
            with real.run(**body) as run:
                subprocess.run(["true"], check=True)
            undocumented = {*paths(run.evidence)} - documented_evidence()
            assert not undocumented, f"{EVIDENCE.relative_to(ROOT)}: undocumented: {undocumented}"


def test_every_reason_of_a_verdict() -> None:
    in_code = first_arguments("Reason") | keys_assigned_in(".faults")
    hold(EVIDENCE, "Reasons", in_code, names(EVIDENCE, "Reasons"))


def test_every_check() -> None:
    heading = "What is checked"
    hold(EVIDENCE, heading, first_arguments("Check"), names(EVIDENCE, heading))


def test_every_reason_for_being_blocked_that_is_no_syscall() -> None:
    in_code = layout.REASON_NAMES.values()
    heading = "Reasons that are not syscalls"
    hold(EVIDENCE, heading, in_code, names(EVIDENCE, heading))
