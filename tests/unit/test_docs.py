"""The reference describes what the code does: nothing is missing, and nothing is made up.

Names are in backticks in the first column of a table, under a heading that the test knows.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from fakes.busy_runs import Busy, every_run, finished, paths
from fakes.collector import FakeCollector
from fakes.pages import DOCS, ROOT, hold, names, quoted, rows
from fakes.source_text import keyword_arguments
from msgspec.structs import fields

import agent
from agent.aggregate.series import SeriesStore
from agent.errors import AgentError, InvalidRequest
from agent.http.access import Access
from agent.http.answers import Evidence, Listed, Reported, Started, Status
from agent.http.app import create_app
from agent.http.exposition import Exposition
from agent.http.negotiation import PageFormat
from agent.http.query import RunsQuery
from agent.http.requests import ReportBody, StartBody, StopBody
from agent.http.responses import status_of
from agent.http.routes import OF_A_SCOPE
from agent.http.settings import HttpSettings
from agent.model import Labels, Report, Scope
from agent.recording.keeper import NoKeeper
from agent.recording.lifecycle import TRANSITIONS
from agent.recording.recorder import Recorder
from agent.sections.probes import DEFAULT_SECTIONS, DETAILS, SECTIONS
from agent.streams.shared import layout, messages
from agent.streams.shared.causes import CURES

HTTP, METRICS = DOCS / "reference/http.md", DOCS / "reference/metrics.md"
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
        ("Fields of a stop", StopBody.__struct_fields__),
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
    assert {*recorder.status(), "compile_deadline_s", "access"} == set(Status.__struct_fields__)


def test_every_error_of_a_scope_is_declared() -> None:
    in_code = keyword_arguments("code", "ScopeError") | keyword_arguments("code", "InvalidRequest")
    assert in_code == set(OF_A_SCOPE)


async def test_every_field_of_the_status() -> None:
    collector = Busy()
    recorder = Recorder(collector, "box", SeriesStore())
    found = set(paths(recorder.status()))
    collector.lost.set()
    found |= set(
        paths({**recorder.status(), "compile_deadline_s": 45, "access": Access().status()})
    )
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


# --- metrics.md


async def page_of_everything() -> str:
    """Return a /metrics page with all families and a sample of each."""
    lacking = Busy()
    lacking.unavailable = {"biolatency": "no tracepoint"}
    _, _, recorder = await finished(Busy(), scope=Scope("pid", pid=1))
    _, _, degraded = await finished(lacking)
    keeps = Recorder(Busy(), "box", SeriesStore(), keeper=NoKeeper())
    recorder.report(Report(Labels(), 2.0, 1.0, 50.0, baseline_success=1))
    internal = {metric.name: metric for metric in recorder.internal_metrics()}
    internal |= {
        m.name: m for m in degraded.internal_metrics() if m.samples and not internal[m.name].samples
    }
    internal |= {m.name: m for m in keeps.internal_metrics() if m.name not in internal}
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


# --- architecture.md, CONTRIBUTING.md


@pytest.mark.parametrize(
    "page", [ARCHITECTURE, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.stem
)
def test_every_folder_of_the_package_is_on_the_map(page: Path) -> None:
    folders = [path.parent for path in Path(agent.__path__[0]).glob("*/__init__.py")]
    named = re.findall(r"`agent/(\w+)/", page.read_text())
    assert {folder.name for folder in folders} - set(named) == set()


def test_where_verbs_are_counted_it_is_so_many() -> None:
    numbers = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    counted = {
        (path.relative_to(ROOT).as_posix(), found[1])
        for path in (ROOT / "README.md", *DOCS.rglob("*.md"), *DOCS.rglob("*.svg"))
        for found in re.finditer(rf"\b({'|'.join(numbers)}) verbs", path.read_text())
    }
    assert counted == {("README.md", numbers[len(messages.VERBS) - 1])}


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
