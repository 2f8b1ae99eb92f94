"""The fields of a request: what each may be, and what is said of one that is not."""

import json
from typing import Any

import pytest
from fakes.in_process import FIGURES, JSON, LABELS, REPORT, ask
from fakes.recorder import FakeRecorder
from quart_trio.testing import TrioClient

from agent.http.requests import ReportBody
from agent.model import LONGEST_LABEL, Labels, Report, Scope, StartRequest
from agent.sections.probes import SECTIONS

pytestmark = pytest.mark.trio


async def test_unknown_fields_are_named_and_ignored(client: TrioClient) -> None:
    status, started = await ask(client, "POST", "/start", json={**LABELS, "zeta": 1, "beta": []})
    assert (status, started["ignored"]) == (200, ["beta", "zeta"])
    body = {**REPORT, **FIGURES, "scenario": "x"}
    assert (await ask(client, "POST", "/report", json=body))[1]["ignored"] == ["scenario"]


async def test_the_list_of_ignored_fields_is_bounded(client: TrioClient) -> None:
    body = {f"{i:02}{'x' * 1000}": 0 for i in range(30)}
    ignored = (await ask(client, "POST", "/start", json=body))[1]["ignored"]
    assert len(ignored) == 20
    assert max(map(len, ignored)) == 64


@pytest.mark.parametrize(
    "value",
    [5, True, ["x"], {"a": 1}, float("nan"), "a\nb", "\0", "\x7f", "\x85", "\ud800",
     "x" * (LONGEST_LABEL + 1)],
)  # fmt: skip
@pytest.mark.parametrize("name", LABELS)
async def test_a_bad_label_is_named(client: TrioClient, name: str, value: Any) -> None:
    status, refused = await ask(client, "POST", "/start", json={name: value})
    assert (status, refused["error"], refused["field"]) == (422, "invalid_field", name)
    assert not (await ask(client, "GET", "/status"))[1]["running"]


@pytest.mark.parametrize("value", ["", 'a"b\\c', "späß 雪 \U0001f600", "x" * LONGEST_LABEL])
async def test_a_good_label_is_kept_as_it_is(client: TrioClient, value: str) -> None:
    await ask(client, "POST", "/start", json={"dataset": value})
    assert (await ask(client, "GET", "/status"))[1]["dataset"] == value


@pytest.mark.parametrize(
    ("name", "literal"),
    [
        *[(name, bad) for name in FIGURES for bad in ("NaN", "Infinity", "1e999", "true", '"1"')],
        *[("gain_pct", bad) for bad in ("-Infinity", "null", "[]", "{}", "1" + "0" * 400)],
        ("baseline_ms", "-0.1"),
        ("optimized_ms", "-1"),
        *[("baseline_success", bad) for bad in ("-1", "1.5", "true", '"1"', "NaN", str(2**63))],
        *[("optimized_success", bad) for bad in ("1e999", "1e300", "9" * 5000, "[]")],
        *[(name, bad) for name in FIGURES for bad in ("9" * 400, "9" * 5000, "-" + "9" * 5000)],
    ],
)
async def test_a_bad_figure_is_named(
    client: TrioClient, recorder: FakeRecorder, name: str, literal: str
) -> None:
    figures = {**{key: str(value) for key, value in FIGURES.items()}, name: literal}
    body = "{" + ", ".join(f'"{key}": {value}' for key, value in figures.items()) + "}"
    status, refused = await ask(client, "POST", "/report", data=body.encode(), headers=JSON)
    assert (status, refused["error"], refused["field"]) == (422, "invalid_field", name)
    assert recorder.reports == []


@pytest.mark.parametrize(
    ("literal", "told"),
    [
        ("1e400", "not 1e400 (too large)"),
        ("-1e400", "not -1e400 (too large)"),
        ("9" * 400, f"not {'9' * 20}… (too large)"),
        ("Infinity", "not Infinity"),
    ],
)
async def test_a_number_that_is_too_large_is_told_as_it_was_sent(
    client: TrioClient, literal: str, told: str
) -> None:
    body = json.dumps({**REPORT, **FIGURES, "gain_pct": "X"}).replace('"X"', literal)
    _, refused = await ask(client, "POST", "/report", data=body.encode(), headers=JSON)
    assert refused["message"].endswith(told)


@pytest.mark.parametrize(
    ("literal", "number"), [("10.0", 10), ("1e3", 1000), ("-0.0", 0), ("null", None), ("7", 7)]
)
async def test_a_count_is_any_whole_number(
    client: TrioClient, recorder: FakeRecorder, literal: str, number: int | None
) -> None:
    """JSON has one type of number: what a language calls it there does not matter."""
    figures = ", ".join(f'"{name}": {value}' for name, value in FIGURES.items())
    body = f'{{{figures}, "baseline_success": {literal}}}'.encode()
    assert (await ask(client, "POST", "/report", data=body, headers=JSON))[0] == 200
    (report,) = recorder.reports
    assert report.baseline_success == number
    assert type(report.baseline_success) in (int, type(None))


@pytest.mark.parametrize("path", ["/", "/a..b/...", "/a//b/.", "/späß", "/" + "x/" * 2000])
async def test_a_path_is_kept_as_it_is(
    client: TrioClient, recorder: FakeRecorder, path: str
) -> None:
    """Containers in containers have paths longer than a label may be."""
    assert (await ask(client, "POST", "/start", json={"scope": {"cgroup": path}}))[0] == 200
    assert recorder.requests[0].scope == Scope("cgroup", cgroup=path)


async def test_a_pid_is_any_whole_number(client: TrioClient, recorder: FakeRecorder) -> None:
    assert (await ask(client, "POST", "/start", json={"scope": {"pid": 4711.0}}))[0] == 200
    assert recorder.requests[0].scope == Scope("pid", pid=4711)


async def test_null_means_the_default_in_every_optional_field(
    client: TrioClient, recorder: FakeRecorder
) -> None:
    counts = dict.fromkeys(("baseline_success", "optimized_success"))
    nothing = dict.fromkeys(ReportBody.__struct_fields__) | FIGURES | counts
    assert (await ask(client, "POST", "/report", json=nothing))[0] == 200
    assert recorder.reports == [Report(Labels(), **FIGURES)]
    scope = {"pid": 7, "cgroup": None}
    assert (await ask(client, "POST", "/start", json={"scope": scope}))[0] == 200
    assert recorder.requests == [StartRequest(scope=Scope("pid", pid=7))]


@pytest.mark.parametrize(
    ("route", "field", "value", "message"),
    [
        ("/start", "commit", 5, "commit must be a string, not 5"),
        ("/start", "commit", ["a"], 'commit must be a string, not ["a"]'),
        ("/start", "commit", {"a": 1}, "commit must be a string, not an object"),
        ("/start", "commit", "x" * 300, "commit has 300 characters; the limit is 256"),
        ("/start", "commit", "a\nb", "commit contains U+000A at position 1"),
        ("/start", "sections", [], "one or more of runqlat, biolatency, offcpu"),
        ("/start", "sections", ["runqlatt"], 'not ["runqlatt"]'),
        ("/start", "sections", [*SECTIONS, "softirqs"], 'not ["softirqs"]'),
        ("/start", "sections", "runqlat", 'not "runqlat"'),
        ("/start", "timing", "clok", 'timing must be one of clock, accounting, not "clok"'),
        ("/start", "measure_probes", 1, "measure_probes must be true or false, not 1"),
        ("/start", "scope", "callr", '{"pid": N} or {"cgroup": "/path"}, not "callr"'),
        ("/start", "scope", [{"pid": 1}], '{"cgroup": "/path"}, not […]'),
        *[
            ("/start", "scope", {"pid": pid}, f"scope.pid must be a whole number from 1 to {text}")
            for pid, text in (
                (0, "4194304, not 0"),
                (-1, "4194304, not -1"),
                (1 << 22 | 1, "4194304, not 4194305"),
                ("1", '4194304, not "1"'),
                (1.5, "4194304, not 1.5"),
                (True, "4194304, not true"),
                ([1], "4194304, not [1]"),
            )
        ],
        ("/start", "scope", {"pid": 1, "cgroup": "/"}, "either pid or cgroup, not both"),
        ("/start", "scope", {"pid": None}, "scope needs either pid or cgroup"),
        ("/start", "scope", {}, "scope needs either pid or cgroup"),
        ("/start", "scope", {"pid": 1, "x": 1}, 'scope has no field "x", only pid and cgroup'),
        ("/start", "scope", {"cgroup": ""}, 'scope.cgroup must begin with "/"; the line 0::'),
        ("/start", "scope", {"cgroup": "relative"}, 'scope.cgroup must begin with "/"'),
        ("/start", "scope", {"cgroup": 7}, "scope.cgroup must be the path of a cgroup, not 7"),
        ("/start", "scope", {"cgroup": "/a\nb"}, "scope.cgroup contains U+000A at position 2"),
        ("/start", "scope", {"cgroup": "/a\0b"}, "scope.cgroup contains U+0000 at position 2"),
        ("/start", "scope", {"cgroup": "/\ud800"}, "scope.cgroup contains U+D800 at position 1"),
        (
            *("/start", "scope", {"cgroup": "/" + "x/" * 3000}),
            "scope.cgroup has 6001 characters; the limit is 4095",
        ),
        *[
            ("/start", "scope", {"cgroup": path}, 'scope.cgroup contains ".."; the line 0::')
            for path in ("/..", "/x.slice/../", "/../../etc", "/a/../b")
        ],
        (
            "/report",
            "baseline_success",
            1.5,
            "from 0 to 9223372036854775807, not 1.5",
        ),
        ("/report", "baseline_success", True, "not true"),
        ("/report", "baseline_ms", -1, "a finite number that is not negative, not -1"),
        ("/report", "gain_pct", float("nan"), "gain_pct must be a finite number, not NaN"),
        ("/report", "gain_pct", None, "gain_pct must be a finite number, not null"),
        ("/report", "gain_pct", "20 %", 'gain_pct must be a finite number, not "20 %"'),
    ],
)
async def test_a_refusal_says_what_is_wanted_and_what_was_sent(
    client: TrioClient, route: str, field: str, value: Any, message: str
) -> None:
    status, refused = await ask(client, "POST", route, json={**FIGURES, field: value})
    assert (status, refused["error"], refused["field"]) == (422, "invalid_field", field)
    assert message in refused["message"]
    assert len(refused["message"]) < 400


@pytest.mark.parametrize("name", FIGURES)
async def test_a_missing_figure_is_named(client: TrioClient, name: str) -> None:
    body = {key: value for key, value in {**REPORT, **FIGURES}.items() if key != name}
    status, refused = await ask(client, "POST", "/report", json=body)
    assert (status, refused["error"], refused["field"]) == (422, "missing_field", name)
