"""The body of a request: its encoding, its type and its size."""

import json
import sys

import pytest
import trio
import trio.testing
from fakes.in_process import FIGURES, JSON, ask
from fakes.recorder import FakeRecorder
from quart_trio.testing import TrioClient

from agent.http.settings import HttpSettings
from agent.model import Labels, StartRequest

pytestmark = pytest.mark.trio


TRAILING_COMMA = (
    r"line 2, column 7: ',\n}'" if sys.version_info >= (3, 13) else "line 3, column 1: '}'"
)
"""Where Python finds that such a comma is wrong."""
DEEP = 60_000
TOO_DEEP = {"the body is nested too deeply"} | (
    {f"the body ends early, at line 1, column {DEEP + 1}"} if sys.version_info >= (3, 14) else set()
)
"""From Python 3.14 on the size of the stack decides how deep is too deep."""


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{'a': 1}", "the body is not JSON at line 1, column 2: \"'a': 1}\""),
        (b'{\n"a": 1,\n}', f"the body is not JSON at {TRAILING_COMMA}"),
        (b'{"a": 1', "the body ends early, at line 1, column 8"),
        (b'{"a": "\xff"}', "the body is not UTF-8 at byte 7 (0xff)"),
        ("{}".encode("utf-16"), "the body is not UTF-8 at byte 0 (0xff)"),
    ],
)
async def test_what_is_not_json_is_refused_in_words_of_our_own(
    client: TrioClient, body: bytes, message: str
) -> None:
    _, refused = await ask(client, "POST", "/start", data=body, headers=JSON)
    assert refused["message"] == message


async def test_what_is_nested_too_deeply_is_refused(client: TrioClient) -> None:
    _, refused = await ask(client, "POST", "/start", data=b"[" * DEEP, headers=JSON)
    assert refused["message"] in TOO_DEEP


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"scenario": "x"}',
        b'{"scenario": "x", "unknown": ' + b"1" * 5000 + b"}",
        b'{"scenario": "x", "unknown": NaN}',
        b'{"scenario": "x", "unknown": 1e400}',
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


@pytest.mark.parametrize("body", [b"x", b"scenario=x", b"%7B%7D"])
async def test_what_curl_d_labels_as_a_form_is_said_to_be_no_json(
    client: TrioClient, body: bytes
) -> None:
    """With the same header, JSON would have been taken."""
    _, refused = await ask(client, "POST", "/start", data=body, headers=FORM)
    assert refused["message"].startswith("the body is not a JSON object; send JSON")
    headers = {"Content-Type": "text/plain"}
    _, refused = await ask(client, "POST", "/start", data=body, headers=headers)
    assert refused["message"].startswith("send JSON with Content-Type")


@pytest.mark.parametrize("body", [b"", b" \n"])
async def test_what_curl_d_sends_of_nothing_is_said_to_be_empty(
    client: TrioClient, body: bytes
) -> None:
    status, refused = await ask(client, "POST", "/start", data=body, headers=FORM)
    assert (status, refused["error"]) == (415, "unsupported_media_type")
    assert refused["message"] == (
        "the body is empty; send a JSON object, at least {}, or omit both body and Content-Type"
    )
    assert (await ask(client, "POST", "/start", data=b"{}", headers=FORM))[0] == 200


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


async def test_a_body_that_never_ends(
    client: TrioClient, recorder: FakeRecorder, autojump_clock: trio.testing.MockClock
) -> None:
    async with client.request("/start", method="POST", headers=JSON) as connection:
        await connection.send(b'{"scen')
        await trio.sleep(HttpSettings().body_timeout + 1)
    response = await connection.as_response()
    assert response.status_code == 408
    assert (await response.get_json())["error"] == "body_timeout"
    assert recorder.requests == []
