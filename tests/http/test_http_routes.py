"""The contract's routes and refusals, tested in-process: no socket, no Hypercorn."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from fakes.recorder import EVIDENCE, FakeRecorder
from quart_trio.testing import TrioClient

from agent.http.app import create_app
from agent.http.requests import ReportBody, StartBody
from agent.http.settings import HttpSettings
from agent.model import LONGEST_LABEL, Labels, Report, Scope, StartRequest
from agent.sections.probes import SECTIONS

pytestmark = pytest.mark.trio

LABELS = {
    "scenario": "baseline",
    "impl": "python",
    "variant": "numpy",
    "commit": "c",
    "dataset": "d",
}
REPORT = {"impl": "i", "variant": "v", "commit": "c", "dataset": "d"}
FIGURES = {"baseline_ms": 1500.0, "optimized_ms": 1200.0, "gain_pct": 20.0}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def recorder() -> AsyncIterator[FakeRecorder]:
    async with FakeRecorder.open() as recorder:
        yield recorder


@pytest.fixture
def client(recorder: FakeRecorder) -> TrioClient:
    settings = HttpSettings(body_timeout=0.2)
    client = create_app(recorder, settings).test_client()
    assert isinstance(client, TrioClient)
    return client


async def ask(client: TrioClient, method: str, path: str, **kwargs: Any) -> tuple[int, Any]:
    response = await client.open(path, method=method, **kwargs)
    assert response.content_type == "application/json"
    return response.status_code, await response.get_json()


async def test_a_run_from_start_to_evidence(client: TrioClient, recorder: FakeRecorder) -> None:
    status, started = await ask(client, "POST", "/start", json=LABELS)
    assert (status, started) == (200, {"status": "started", "run_id": "run-1", "available": True})
    assert recorder.requests == [StartRequest(Labels(**LABELS))]

    status, running = await ask(client, "GET", "/status")
    assert (status, running) == (200, {"running": True, "machine": "test-machine", **LABELS})

    status, evidence = await ask(client, "POST", "/stop")
    assert (status, evidence) == (200, {**EVIDENCE, "run_id": "run-1"})

    status, idle = await ask(client, "GET", "/status")
    assert idle == {"running": False, "machine": "test-machine", **dict.fromkeys(LABELS, "")}


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"json": {}},
        {"json": dict.fromkeys(StartBody.__struct_fields__)},
        {"headers": JSON},
        {"data": b" \n", "headers": JSON},
    ],
)
async def test_start_without_labels(
    client: TrioClient, recorder: FakeRecorder, kwargs: dict[str, Any]
) -> None:
    assert (await ask(client, "POST", "/start", **kwargs))[0] == 200
    assert recorder.requests == [StartRequest(Labels())]


async def test_start_during_a_run_names_that_run(client: TrioClient) -> None:
    await ask(client, "POST", "/start", json=LABELS)
    status, refused = await ask(client, "POST", "/start", json={"scenario": "other"})
    assert (status, refused["error"], refused["run_id"]) == (409, "run_in_progress", "run-1")
    assert (await ask(client, "GET", "/status"))[1]["scenario"] == "baseline"


async def test_stop_without_a_run(client: TrioClient) -> None:
    status, refused = await ask(client, "POST", "/stop")
    assert (status, refused["error"]) == (409, "not_running")


async def test_one_of_many_starts_wins(client: TrioClient) -> None:
    statuses: list[int] = []

    async def start() -> None:
        statuses.append((await ask(client, "POST", "/start", json=LABELS))[0])

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(start)
    assert sorted(statuses) == [200] + [409] * 19


async def test_evidence_can_be_fetched_again(client: TrioClient) -> None:
    assert (await ask(client, "GET", "/evidence"))[0] == 404
    for _ in range(2):
        await ask(client, "POST", "/start")
        await ask(client, "POST", "/stop")
    assert (await ask(client, "GET", "/evidence"))[1]["run_id"] == "run-2"
    assert (await ask(client, "GET", "/evidence/run-1"))[1]["run_id"] == "run-1"
    status, refused = await ask(client, "GET", "/evidence/run-9")
    assert (status, refused["error"]) == (404, "no_such_run")


@pytest.mark.parametrize("counts", [{}, {"baseline_success": 5, "optimized_success": 0}])
async def test_report(client: TrioClient, recorder: FakeRecorder, counts: dict[str, int]) -> None:
    body = {**REPORT, **FIGURES, **counts}
    assert await ask(client, "POST", "/report", json=body) == (200, {"status": "metrics_reported"})
    assert recorder.reports == [Report(Labels(**REPORT), **FIGURES, **counts)]


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
        ("/start", "scope", {"pid": 1, "cgroup": "/"}, "scope needs either pid or cgroup"),
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


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{'a': 1}", "the body is not JSON at line 1, column 2: \"'a': 1}\""),
        (b'{\n"a": 1,\n}', "the body is not JSON at line 3, column 1: '}'"),
        (b'{"a": 1', "the body ends early, at line 1, column 8"),
        (b'{"a": "\xff"}', "the body is not UTF-8 at byte 7 (0xff)"),
        ("{}".encode("utf-16"), "the body is not UTF-8 at byte 0 (0xff)"),
        (b"[" * 60_000, "the body is nested too deeply"),
    ],
)
async def test_what_is_not_json_is_refused_in_words_of_our_own(
    client: TrioClient, body: bytes, message: str
) -> None:
    _, refused = await ask(client, "POST", "/start", data=body, headers=JSON)
    assert refused["message"] == message


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"scenario": "x"}',
        b'{"scenario": "x", "unknown": ' + b"1" * 5000 + b"}",
        b'{"scenario": "x", "unknown": NaN}',
    ],
)
async def test_odd_json_is_taken(client: TrioClient, recorder: FakeRecorder, body: bytes) -> None:
    assert (await ask(client, "POST", "/start", data=body, headers=JSON))[0] == 200
    assert recorder.requests == [StartRequest(Labels("x"))]


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def test_curl_d_labels_json_as_a_form(client: TrioClient, recorder: FakeRecorder) -> None:
    for sent in (b'{"scenario": "x"}', b' \n{"scenario": "x"}', b'\xef\xbb\xbf{"scenario": "x"}'):
        assert (await ask(client, "POST", "/start", data=sent, headers=FORM))[0] == 200
        assert (await ask(client, "POST", "/stop", data=b"", headers=FORM))[0] == 200
    assert [request.labels.scenario for request in recorder.requests] == ["x"] * 3
    figures = json.dumps(FIGURES).encode()
    assert (await ask(client, "POST", "/report", data=figures, headers=FORM))[0] == 200


@pytest.mark.parametrize(
    "content_type", ["text/plain", "multipart/form-data; boundary=x", "application/octet-stream"]
)
async def test_a_stop_without_a_body_may_have_any_type(
    client: TrioClient, content_type: str
) -> None:
    headers = {"Content-Type": content_type}
    await ask(client, "POST", "/start")
    assert (await ask(client, "POST", "/stop", data=b" \n", headers=headers))[0] == 200
    for route in ("/start", "/report"):
        status, refused = await ask(client, "POST", route, data=b"", headers=headers)
        assert (status, refused["error"]) == (415, "unsupported_media_type")


async def test_names_in_an_answer_are_unicode(client: TrioClient) -> None:
    """A lone surrogate can be written in JSON, but not in UTF-8."""
    body = b'{"\\ud800": 1, "timing": "\\ud800"}'
    response = await client.post("/start", data=body, headers=JSON)
    (await response.get_json())["message"].encode()
    body = b'{"\\ud800": 1}'
    response = await client.post("/start", data=body, headers=JSON)
    assert (await response.get_json())["ignored"] == ["?"]


@pytest.mark.parametrize("name", FIGURES)
async def test_a_missing_figure_is_named(client: TrioClient, name: str) -> None:
    body = {key: value for key, value in {**REPORT, **FIGURES}.items() if key != name}
    status, refused = await ask(client, "POST", "/report", json=body)
    assert (status, refused["error"], refused["field"]) == (422, "missing_field", name)


@pytest.mark.parametrize("path", ["/start", "/stop", "/report"])
@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{", "application/json", 400, "invalid_json"),
        (b'{"scenario": "\xff"}', "application/json", 400, "invalid_json"),
        (b'{"scenario": "a\nb"}', "application/json", 400, "invalid_json"),
        (b"[" * 60_000, "application/json", 400, "invalid_json"),
        (b'{"x":' * 10_000, "application/json", 400, "invalid_json"),
        (b"[]", "application/json", 422, "not_an_object"),
        (b'"text"', "application/json", 422, "not_an_object"),
        (b"null", "application/json", 422, "not_an_object"),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b"{}", "multipart/form-data; boundary=x", 415, "unsupported_media_type"),
        (b"scenario=x", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b"%7B%7D=", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b'"{}"', "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b"{=}", "application/x-www-form-urlencoded", 400, "invalid_json"),
        (b"{}", None, 415, "unsupported_media_type"),
        (b" " * (64 * 1024 + 1), "application/json", 413, "body_too_large"),
        (b" " * 1_000_000, "text/plain", 413, "body_too_large"),
    ],
)
async def test_a_bad_body(
    client: TrioClient, path: str, body: bytes, content_type: str | None, status: int, code: str
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answered, refused = await ask(client, "POST", path, data=body, headers=headers)
    assert (answered, refused["error"]) == (status, code)
    assert refused["message"]


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", "application/x+json"]
)
async def test_json_by_other_names(client: TrioClient, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    assert (await ask(client, "POST", "/start", data=b"{}", headers=headers))[0] == 200


async def test_a_body_of_just_the_limit(client: TrioClient) -> None:
    body = b'{"scenario": "x"' + b" " * (64 * 1024 - 17) + b"}"
    assert len(body) == 64 * 1024
    assert (await ask(client, "POST", "/start", data=body, headers=JSON))[0] == 200


async def test_a_body_that_never_ends(client: TrioClient, recorder: FakeRecorder) -> None:
    async with client.request("/start", method="POST", headers=JSON) as connection:
        await connection.send(b'{"scen')
        await trio.sleep(0.3)
    response = await connection.as_response()
    assert response.status_code == 408
    assert (await response.get_json())["error"] == "body_timeout"
    assert recorder.requests == []


async def test_unknown_routes_are_answered_with_the_known_ones(client: TrioClient) -> None:
    for path in ("/", "/metricz", "/start/", "/evidence/a/b"):
        status, refused = await ask(client, "GET", path)
        assert (status, refused["error"]) == (404, "not_found")
        for route in ("POST /start", "POST /stop", "GET /status", "POST /report"):
            assert route in refused["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/start", "POST"), ("OPTIONS", "/stop", "POST"), ("POST", "/status", "GET, HEAD")],
)
async def test_the_wrong_method(client: TrioClient, method: str, path: str, allowed: str) -> None:
    response = await client.open(path, method=method)
    assert (response.status_code, response.headers["Allow"]) == (405, allowed)
    assert (await response.get_json())["error"] == "method_not_allowed"


async def test_a_crash_is_json_too(
    client: TrioClient, recorder: FakeRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    async def crash() -> None:
        raise RuntimeError("the secret path of something")

    recorder.arming = crash
    status, failed = await ask(client, "POST", "/start")
    assert (status, failed["error"]) == (500, "internal_error")
    assert "secret" not in failed["message"]
    assert "the secret path" in caplog.text
