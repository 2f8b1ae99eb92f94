"""What a runner sees: real clients over real sockets against the real server."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from fakes.http_server import RunningServer, running_server

from agent.http.settings import HttpSettings

SHA, SHA256 = "f" * 40, "0" * 64


@pytest.fixture(scope="module")
def shared() -> Iterator[RunningServer]:
    with running_server(HttpSettings(allowed_hosts=frozenset({"localhost", "bench-7"}))) as server:
        yield server


def test_the_plain_client_of_the_contract(server: RunningServer) -> None:
    agent, sha, sha256 = server.url, SHA, SHA256
    requests.post(f"{agent}/start", json={"scenario": "baseline", "impl": "python",
        "variant": "numpy", "commit": sha, "dataset": sha256})  # fmt: skip
    evidence = requests.post(f"{agent}/stop").json()
    answer = requests.post(f"{agent}/report", json={"impl": "python", "variant": "numpy",
        "commit": sha, "dataset": sha256, "baseline_ms": 1500.0,
        "optimized_ms": 1200.0, "gain_pct": 20.0})  # fmt: skip

    assert evidence["available"] is True
    assert evidence["runqlat"]["histogram"] == [{"bucket_us": 1, "count": 150}]
    assert answer.json() == {"status": "metrics_reported"}
    assert server.recorder.requests[0].labels.commit == SHA
    assert server.recorder.reports[0].gain_pct == 20.0


def test_exactly_one_of_many_starts_wins(server: RunningServer) -> None:
    ready = threading.Barrier(20)

    def start(number: int) -> requests.Response:
        ready.wait()
        return requests.post(f"{server.url}/start", json={"variant": str(number)})

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(start, range(20)))
    won = [answer for answer in answers if answer.status_code == 200]
    lost = [answer for answer in answers if answer.status_code == 409]
    assert (len(won), len(lost)) == (1, 19)
    assert {answer.json()["run_id"] for answer in lost} == {won[0].json()["run_id"]}


@pytest.mark.parametrize(
    ("bound", "used"),
    [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"), ("::", "[::1]"), ("::", "127.0.0.1")],
)
def test_a_caller_over_loopback_is_local_however_it_is_seen(bound: str, used: str) -> None:
    """A dual-stack socket sees the client 127.0.0.1 as ::ffff:127.0.0.1."""
    with running_server(host=bound) as server:
        url = f"http://{used}:{server.port}"
        answer = requests.post(f"{url}/start", json={"scope": "caller"})
        assert answer.status_code == 200, answer.text
        (request,) = server.recorder.requests
        assert (request.scope.kind, request.scope.server[1]) == ("caller", server.port)


@pytest.mark.parametrize("size", [64 * 1024 + 1, 1_000_000, 8_000_000])
def test_a_client_that_sends_too_much_gets_to_see_why(shared: RunningServer, size: int) -> None:
    answer = requests.post(f"{shared.url}/start", json={"scenario": "x" * size})
    assert (answer.status_code, answer.json()["error"]) == (413, "body_too_large")
    chunks = iter([b" " * 50_000] * (size // 50_000 + 1))
    answer = requests.post(f"{shared.url}/start", data=chunks)
    assert (answer.status_code, answer.json()["error"]) == (413, "body_too_large")


def test_a_refused_route_still_reads_the_body(shared: RunningServer) -> None:
    with requests.Session() as session:
        for path in ("/nothing", "/status", "/start"):
            answer = session.post(shared.url + path, data=b"x" * 60_000)
            assert answer.status_code in (404, 405, 415)
            assert answer.json()["message"]


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:1", "LOCALHOST.", "bench-7:9090", "127.0.0.1", "[::1]:80",
             "192.0.2.7:9090", "[2001:db8::1]"],
)  # fmt: skip
def test_names_and_addresses_of_ours(shared: RunningServer, host: str) -> None:
    assert requests.get(f"{shared.url}/status", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "bench-8",
             "[::1", "[localhost]x", "localhost:80:80", "localhost:x", ":80", "0x7f.1",
             "user@localhost"],
)  # fmt: skip
@pytest.mark.parametrize(("method", "path"), [("GET", "/metrics"), ("POST", "/start")])
def test_a_rebound_name_is_refused(
    shared: RunningServer, host: str, method: str, path: str
) -> None:
    answer = requests.request(method, shared.url + path, headers={"Host": host})
    assert (answer.status_code, answer.json()["error"]) == (403, "forbidden_host")
    assert not requests.get(f"{shared.url}/status").json()["running"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://["},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example", "Content-Type": "text/plain"},
    ],
)
@pytest.mark.parametrize("path", ["/start", "/stop", "/report"])
def test_a_foreign_page_is_refused(
    shared: RunningServer, path: str, headers: dict[str, str]
) -> None:
    answer = requests.post(shared.url + path, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (403, "forbidden_origin")
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert not requests.get(f"{shared.url}/status").json()["running"]


@pytest.mark.parametrize(
    "form",
    [
        {"data": {}},
        {"data": {"scenario": "x"}},
        {"data": {'{"scenario": "x"}': ""}},
        {"data": {'{"scenario": "': '"}'}},
        {"files": {"{}": "{}"}},
        {"data": '{"scenario": "x"}', "headers": {"Content-Type": "text/plain"}},
    ],
)
def test_a_form_post_starts_nothing_even_without_an_origin(
    shared: RunningServer, form: dict[str, Any]
) -> None:
    """These are what the three types of form make of their fields."""
    if "data" in form and isinstance(form["data"], dict):
        form = {"headers": {"Content-Type": "application/x-www-form-urlencoded"}, **form}
    for route in ("/start", "/report"):
        answer = requests.post(shared.url + route, **form)
        assert (answer.status_code, answer.json()["error"]) == (415, "unsupported_media_type")
    assert not requests.get(f"{shared.url}/status").json()["running"]


@pytest.mark.parametrize("header", [{"Origin": "http://evil.example"}, {"Origin": "null"},
                                    {"Sec-Fetch-Site": "cross-site"}])  # fmt: skip
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", None])
def test_json_that_a_script_of_another_site_sends_is_refused(
    server: RunningServer, kind: str | None, header: dict[str, str]
) -> None:
    """With fetch and no-cors a script may send any body under these types, without asking."""
    headers = {**header, "Content-Type": kind} if kind else header
    for route, body in (("/start", "{}"), ("/report", "{}"), ("/stop", ""), ("/start", "")):
        answer = requests.post(server.url + route, data=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (403, "forbidden_origin")
    assert server.recorder.requests == []


def test_the_documented_calls_of_curl(
    server: RunningServer, tool: Callable[[str], str], tmp_path: Path
) -> None:
    (tmp_path / "metrics.json").write_text(
        '{\n "baseline_ms": 1500.0,\n "optimized_ms": 1200.0,\n "gain_pct": 20.0\n}\n'
    )

    def curl(route: str, *arguments: str) -> dict[str, Any]:
        command = [tool("curl"), "-sS", "-X", "POST", f"{server.url}{route}", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    assert curl("/start", "-d", '{"scenario": "x"}')["status"] == "started"
    assert curl("/stop", "-d", "")["available"] is True
    assert curl("/report", "-d", "@metrics.json") == {"status": "metrics_reported"}
    assert curl("/report", "--data-binary", "@metrics.json") == {"status": "metrics_reported"}
    assert server.recorder.reports[0].gain_pct == 20.0


def test_a_foreign_host_is_told_which_option_admits_it(shared: RunningServer) -> None:
    answer = requests.get(f"{shared.url}/status", headers={"Host": "bench-8:80"})
    assert "--allow-host bench-8" in answer.json()["message"]
    answer = requests.get(f"{shared.url}/status", headers={"Host": "x y"})
    assert "--allow-host" not in answer.json()["message"]


@pytest.mark.parametrize(
    "headers", [{}, {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_person_may_look_with_a_browser(shared: RunningServer, headers: dict[str, Any]) -> None:
    assert requests.get(f"{shared.url}/status", headers=headers).status_code == 200


def test_a_page_of_the_same_origin_is_served(shared: RunningServer) -> None:
    headers = {"Origin": shared.url, "Sec-Fetch-Site": "same-origin"}
    assert requests.post(f"{shared.url}/stop", headers=headers).status_code == 409


def test_head_is_answered_without_a_body(shared: RunningServer) -> None:
    answer = requests.head(f"{shared.url}/metrics")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["Content-Length"]) > 0
