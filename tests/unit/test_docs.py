"""The reference describes what the code does: nothing is missing, and nothing is made up.

Names are in backticks in the first column of a table, under a heading that the test knows.
"""

import dataclasses
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import fleet, procfs
from fakes.busy_runs import Busy, every_run, finished, paths
from fakes.collector import FakeCollector
from fakes.kept_groups import group, kept
from fakes.pages import DOCS, ROOT, hold, names, quoted, rows
from fakes.real_agent import running
from fakes.sample_evidence import evidence as sample_evidence
from fakes.source_text import first_arguments, keys_assigned_in, keyword_arguments
from msgspec.structs import fields

from agent import cli
from agent.aggregate.histogram import LatencyHistogram
from agent.aggregate.series import SeriesStore
from agent.comparison.budget import budget_of
from agent.comparison.causes import cause_of
from agent.comparison.designs import PAIRS
from agent.comparison.equals import compare_equals
from agent.comparison.kept import Asked, compare_groups
from agent.errors import AgentError, InvalidRequest
from agent.fleet.merging import with_merged
from agent.fleet.sections import MERGED
from agent.http.access import Access
from agent.http.answers import Evidence, Listed, Reported, Started, Status
from agent.http.app import create_app
from agent.http.exposition import Exposition
from agent.http.negotiation import PageFormat
from agent.http.query import RunsQuery
from agent.http.requests import ReportBody, StartBody
from agent.http.responses import status_of
from agent.http.routes import OF_A_SCOPE
from agent.http.settings import HttpSettings
from agent.model import Labels, Report, Scope
from agent.recording.lifecycle import TRANSITIONS
from agent.recording.recorder import Recorder
from agent.run.command import described
from agent.run.document import document_of
from agent.run.held import Ended
from agent.run.plan import BASELINE, OPTIMIZED, Plan
from agent.run.processes import Process
from agent.run.runs import End, Run
from agent.sections.probes import DEFAULT_SECTIONS, DETAILS, SECTIONS
from agent.statistics.comparison import shift
from agent.store.rows import Summary
from agent.streams.shared import layout, messages
from agent.streams.shared.causes import CURES
from agent.words import Json

HTTP, EVIDENCE = DOCS / "reference/http.md", DOCS / "reference/evidence.md"
METRICS, SETTINGS = DOCS / "reference/metrics.md", DOCS / "reference/settings.md"
ARCHITECTURE = DOCS / "architecture.md"


# --- http.md


def codes_of_errors() -> dict[str, int]:
    """Return every code that an error answer can have, with its status."""
    classes = [AgentError, *AgentError.__subclasses__()]
    found: dict[str, set[bool]] = {c.code: {c is InvalidRequest} for c in classes}
    for kind in ("AgentError", "InvalidRequest", "ScopeError"):
        for code in keyword_arguments("code", kind):
            found.setdefault(code, set()).add(kind != "AgentError")
    return {code: status_of(code, is_refusal=True in kinds) for code, kinds in found.items()}


def routes() -> set[str]:
    app = create_app(Recorder(FakeCollector(), "box", SeriesStore()), HttpSettings())
    return {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def test_every_route_has_a_section() -> None:
    documented = re.findall(r"^## `((?:DELETE|GET|POST) [^`]+)`$", HTTP.read_text(), re.MULTILINE)
    hold(HTTP, "## `METHOD /path`", routes(), documented)


def test_the_readme_names_every_route() -> None:
    hold(ROOT / "README.md", "The API", routes(), names(ROOT / "README.md", "The API"))


@pytest.mark.parametrize(
    ("heading", "fields"),
    [
        ("Fields of a start", StartBody.__struct_fields__),
        ("Fields of a report", ReportBody.__struct_fields__),
        ("`GET /runs`", RunsQuery.__struct_fields__),
    ],
)
def test_every_field_of_a_body(heading: str, fields: Iterable[str]) -> None:
    hold(HTTP, heading, fields, names(HTTP, heading))


def test_every_field_of_a_list_of_runs() -> None:
    listed = {f"runs[].{name}" for name in Listed.__struct_fields__ if name != "labels"}
    labels = {f"runs[].labels.{name}" for name in (*Labels.__slots__, "machine")}
    heading = "Answer with runs"
    hold(HTTP, heading, {*listed, *labels, "next"}, names(HTTP, heading))


def test_every_section_can_be_asked_for_as_documented() -> None:
    (row,) = (row for row in rows(HTTP, "Fields of a start") if "`sections`" in row[0])
    hold(HTTP, "sections", SECTIONS, set(quoted(row[3])) & set(SECTIONS))


def test_the_streams_that_evidence_accounts_for() -> None:
    page = EVIDENCE.read_text()
    sentence = page[page.index("\nThe streams are ") :].split("\n\n")[0]
    assert {*layout.STREAM_NAMES, "offcpu"} <= set(quoted(sentence))


def test_every_detail() -> None:
    assert {quoted(row[0])[0]: quoted(row[1])[0] for row in rows(HTTP, "Details")} == DETAILS


async def test_every_field_of_the_answer_to_a_start() -> None:
    answers = [path for started, _ in await every_run() for path in paths(started)]
    # routes.py adds the fields that it was sent and does not know
    hold(HTTP, "Answer to a start", {*answers, "ignored[]"}, names(HTTP, "Answer to a start"))


def test_every_field_of_the_answer_to_a_report() -> None:
    heading = "Answer to a report"
    documented = {name.removesuffix("[]") for name in names(HTTP, heading)}
    hold(HTTP, heading, Reported.__struct_fields__, documented)


async def test_every_answer_is_declared() -> None:
    """/openapi.json is made of the declarations; generated requests hold it to the types."""
    recorder = Recorder(Busy(), "box", SeriesStore())
    for started, evidence in await every_run():
        assert set(started) <= set(Started.__struct_fields__)
        assert {f.name for f in fields(Evidence) if f.required} <= set(evidence)
        contract = {field.name for field in fields(Evidence)} & set(SECTIONS)
        assert contract == set(DEFAULT_SECTIONS)
    assert {*recorder.status(), "access"} == set(Status.__struct_fields__)


def test_every_error_of_a_scope_is_declared() -> None:
    in_code = keyword_arguments("code", "ScopeError") | keyword_arguments("code", "InvalidRequest")
    assert in_code == set(OF_A_SCOPE)


async def test_every_field_of_the_status() -> None:
    collector = Busy()
    recorder = Recorder(collector, "box", SeriesStore())
    found = set(paths(recorder.status()))
    collector.lost.set()
    found |= set(paths({**recorder.status(), "access": Access().status()}))
    hold(HTTP, "Fields of the status", found, names(HTTP, "Fields of the status"))


def test_every_error_code_and_its_status() -> None:
    documented = {quoted(row[0])[0]: int(row[1]) for row in rows(HTTP, "Errors")}
    in_code = {**codes_of_errors(), "method_not_allowed": 405}
    hold(HTTP, "Errors", in_code, documented)
    assert documented == in_code


def test_every_reason_for_measuring_nothing() -> None:
    heading = "Why nothing can be measured"
    in_code = {*CURES, *keyword_arguments("code", "CannotCollect")}
    hold(HTTP, heading, in_code, names(HTTP, heading))


# --- evidence.md


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
        *("procfs.no_tasks", "procfs.machine.stolen_ms"),
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


# --- metrics.md


async def page_of_everything() -> str:
    """Return a /metrics page with all families and a sample of each."""
    lacking = Busy()
    lacking.unavailable = {"biolatency": "no tracepoint"}
    _, _, recorder = await finished(Busy(), scope=Scope("pid", pid=1))
    _, _, degraded = await finished(lacking)
    recorder.report(Report(Labels(), 2.0, 1.0, 50.0, baseline_success=1))
    internal = {metric.name: metric for metric in recorder.internal_metrics()}
    internal |= {
        m.name: m for m in degraded.internal_metrics() if m.samples and not internal[m.name].samples
    }
    return Exposition(recorder.series).render(internal.values(), PageFormat.TEXT).decode()


def families(page: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Return type and label names by metric; ``le`` belongs to the type."""
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE))
    labels: dict[str, set[str]] = {name: set() for name in types}
    for name, inside in re.findall(r"^(chainbench_\w+)(?:\{(.*)\})? \S+$", page, re.MULTILINE):
        family = name if name in types else re.sub(r"_(bucket|sum|count)$", "", name)
        labels[family] |= set(re.findall(r'(\w+)="', inside)) - {"le"}
    return {name: (kind, frozenset(labels[name])) for name, kind in types.items()}


async def test_every_metric_with_its_type_and_labels() -> None:
    in_code = families(await page_of_everything())
    documented = {
        quoted(row[0])[0]: (row[1], frozenset(quoted(row[2])))
        for heading in ("Of the runs", "Of the agent itself")
        for row in rows(METRICS, heading)
    }
    run_labels = frozenset(names(METRICS, "Labels of a run"))
    of_runs = {
        name: (kind, frozenset({*labels} - {"run labels"}) | run_labels)
        if "run labels" in labels
        else (kind, labels)
        for name, (kind, labels) in documented.items()
    }
    hold(METRICS, "all tables", in_code, of_runs)
    assert of_runs == in_code


# --- settings.md


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_option(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    usage = capsys.readouterr().out.partition("\n\n")[0]
    in_code = set(re.findall(r"--[a-z][a-z-]*", usage))
    headings = [f"`{command}`", *(["Repeated runs"] if command == "run" else [])]
    documented = [
        name for heading in headings for name in names(SETTINGS, heading) if name.startswith("--")
    ]
    hold(SETTINGS, command, in_code, documented)


@pytest.mark.parametrize("action", ["list", "show", "export", "delete", "import", "limits"])
def test_every_option_of_what_is_done_with_runs(
    action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["runs", action, "--help"])
    usage = capsys.readouterr().out.partition("\n\n")[0]
    heading = f"`runs {action}`"
    documented = [name for name in names(SETTINGS, heading) if name.startswith("--")]
    hold(SETTINGS, heading, re.findall(r"--[a-z][a-z-]*", usage), documented)


def test_every_field_of_a_run_in_a_list() -> None:
    heading = "A run in a list"
    hold(
        SETTINGS,
        heading,
        [field.name for field in dataclasses.fields(Summary)],
        names(SETTINGS, heading),
    )


def test_every_field_of_what_a_command_took() -> None:
    ended = Ended(0, 1.0, 1.0, 1.0, None, 1, 0, 0)
    took = described(["a"], ended, [Process(1, 1, 1, "S", "a")])
    heading = "What a command took"
    hold(SETTINGS, heading, paths(took), names(SETTINGS, heading))


def of_a_cause() -> list[Json]:
    """Return the figures of a cause that is found."""
    runs = [
        budget_of(
            {},
            sample_evidence(
                wall={
                    "available": True,
                    "states": {},
                    "for_busy_cpu_ms": ms,
                    "cpu_ms": 1.0,
                    "throttled_ms": 0.0,
                },
                offcpu={"count": 1},
                stolen_ms=0,
            ),
        )
        for ms in (10.0, 50.0)
    ]
    wall = shift([10.0] * 6, [50.0] * 6)
    found: list[Json] = cause_of(PAIRS, [runs[0]] * 6, [runs[1]] * 6, wall)["figures"]
    return found


def of_much_that_differs() -> Json:
    """Return what is said of runs that have little in common."""
    waits = LatencyHistogram()
    waits.fold(np.arange(1000, 2000))
    section = {**waits.summary(), "hdr": waits.encode()}

    def run(side: str, n: int, reason: str, **changes: Any) -> Run:
        blocked = {"top_reasons": [{"reason": reason, "ms": 50.0 + n}], "other": {"count": 0}}
        whole = sample_evidence(offcpu=blocked, runqlat=section, **changes)
        return Run(side, n, True, Ended(0, 1.0, 1.0, 1.0, None, 1, 0, 0), {}, whole)

    runs = [run(BASELINE, n, "read") for n in range(10)]
    runs += [run(OPTIMIZED, n, "write", exec={}) for n in range(10)]
    plan = Plan({BASELINE: ["a"], OPTIMIZED: ["b"]}, most=10, seed=1)
    found: Json = document_of(plan, runs, End("runs"))["comparison"]
    names = ("changed", "appeared", "vanished", "on_one_side_only", "shift")
    return {name: found[name] for name in names}


def waiting(ms: float) -> Json:
    """Return the wall time of a run that waited for a CPU."""
    states = {"computing": {"ms": 1.0}}
    return {"available": True, "wall_ms": ms + 1, "states": states, "for_busy_cpu_ms": ms}


def test_every_field_of_a_series() -> None:
    """Of two commands, one of which has an outlier and a figure that is not tested."""
    calls = {f"call_{n}": 1.0 for n in range(30)}
    reasons = [{"reason": name, "ms": ms} for name, ms in calls.items()]
    whole = sample_evidence(
        offcpu={"total_ms": 30.0, "top_reasons": reasons}, wall=waiting(1.0), checks=[]
    )
    runs = [
        Run(
            side,
            n,
            True,
            Ended(0, ms, 1.0, 1.0, None, 1, 0, 0),
            {"user_ms": 1, "system_ms": 1},
            whole,
        )
        for side in (BASELINE, OPTIMIZED)
        for n, ms in enumerate([1.0, 1.1, 0.9, 1.0, 1.0])
    ]
    slow = Ended(0, 9.0, 1.0, 1.0, None, 1, 0, 0)
    waited = {**whole, "wall": waiting(8000.0)}
    runs += [
        Run(side, 5, True, slow, {"user_ms": 8000, "system_ms": 1}, waited)
        for side in (BASELINE, OPTIMIZED)
    ]
    plan = Plan({BASELINE: ["a"], OPTIMIZED: ["b"]}, most=5, seed=1)
    document = document_of(plan, runs, End("runs"))
    for run in document["runs"]:
        run |= {"command": "documented elsewhere", "evidence": "documented elsewhere"}
    dynamic = {
        r"(commands|sides|comparison\.runs)\.(baseline|optimized)": r"\1.SIDE",
        r"verdicts\.\w+": "verdicts.VERDICT",
        r"(histograms|shift)\.\w+": r"\1.SECTION",
    }
    # nothing is the cause of what five pairs show
    document["comparison"]["cause"]["figures"] = of_a_cause()
    document["comparison"] |= of_much_that_differs()
    found = set(paths(document))
    for written, meant in dynamic.items():
        found = {re.sub(written, meant, path) for path in found}
    heading = "What a series holds"
    hold(SETTINGS, heading, found, names(SETTINGS, heading))


def test_every_field_of_a_comparison_of_kept_runs() -> None:
    runs = group(*map(float, range(100, 112)), labels={"commit": "a"})
    document = compare_equals(runs, Asked(across=["kernel"]))
    other = group(*[100.0] * 3, first=20, labels={"machine": "b"})
    forced = compare_groups([*runs, kept(30, counts=False)], other, Asked(force=True))
    dynamic = {
        r"facts\.\w+\.(baseline|optimized)": "facts.FACT.SIDE",
        r"labels\.(baseline|optimized)\.\w+": "labels.SIDE.LABEL",
    }
    forced["compared"]["impossible_times"] = ["run-0"]  # no run here has one
    found = {"compared.why_no_pairs", *paths({"compared": document["compared"]})}
    found |= set(paths({"compared": forced["compared"]}))
    for written, meant in dynamic.items():
        found = {re.sub(written, meant, path) for path in found}
    heading = "What a comparison of kept runs adds"
    hold(SETTINGS, heading, found, names(SETTINGS, heading))


# --- architecture.md


def test_the_table_of_states() -> None:
    in_code = {
        (state.value, event.value, then.value) for (state, event), then in TRANSITIONS.items()
    }
    documented = {
        tuple(quoted(cell)[0] for cell in row[:3]) for row in rows(ARCHITECTURE, "States")
    }
    assert documented == in_code


@pytest.mark.parametrize(
    ("heading", "in_code"),
    [
        ("Streams", layout.STREAM_NAMES),
        ("What is only counted", layout.COUNTER_FIELDS),
        ("Verbs", messages.VERBS),
    ],
)
def test_what_the_two_sides_share(heading: str, in_code: Iterable[str]) -> None:
    hold(ARCHITECTURE, heading, in_code, names(ARCHITECTURE, heading))
