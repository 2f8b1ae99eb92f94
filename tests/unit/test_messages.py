"""Messages between the processes: what is sent arrives, and anything else is refused."""

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any, get_type_hints

import pytest
from fakes.descriptors import open_fds
from fakes.limits import no_more_files

from agent.sections.probes import SECTIONS
from agent.streams.shared import channel
from agent.streams.shared.build_messages import BuildAnswer, BuildRequest, ProgramName
from agent.streams.shared.channel import Failure, Malformed, Reply
from agent.streams.shared.layout import Geometry
from agent.streams.shared.messages import (
    REQUESTS,
    ArmAnswer,
    ArmRequest,
    Buffer,
    BuffersAnswer,
    BuffersRequest,
    CertificateAnswer,
    CertificateRequest,
    DisarmAnswer,
    DisarmRequest,
    PrepareAnswer,
    PrepareRequest,
    ProgramStats,
    Request,
    RescopeAnswer,
    RescopeRequest,
    ScopeNumbers,
    ScopeProcess,
    SupportAnswer,
    SupportRequest,
    decode_request,
    encode_request,
)
from agent.streams.shared.plan import Plan
from agent.streams.shared.support import Support

RUN_ID = "78ec0ff4-05b4-41ce-bf0a-7cb3685928f8"
CALLER = ScopeNumbers("caller", client=("::1", 40_000), server=("::1", 8080))
GEOMETRY = Geometry(cpus=2, slots=8, members=8, ring_bytes=4096)

EXCHANGES: list[tuple[Request[Any], Any]] = [
    (
        SupportRequest(),
        SupportAnswer((Support("a", "b", "5.8", True), Support("c", "d", "", None, "", "why"))),
    ),
    (
        BuffersRequest("auto", (1, 2), 4096, 1024),
        BuffersAnswer("perf", (Buffer(0, 3),), True, 4096),
    ),
    (PrepareRequest(Plan(), True), PrepareAnswer(GEOMETRY, "EPERM")),
    (
        ArmRequest(Plan(scoped=True, details=("syscalls",)), CALLER, True, False, RUN_ID),
        ArmAnswer(
            *(1, 2, 3, ScopeProcess(4, 5, "six", 7), GEOMETRY, {"exec": "why"}, {"hook": "EPERM"}),
            *(True, "0.1", 5, {"exec": {"r": 1}}, {"exec": {"r": 2}}),
            (Support("a", "b", "5.8", True),),
        ),
    ),
    (
        DisarmRequest(),
        DisarmAnswer(
            *(1, (ProgramStats("a", "b", 1, 2, 3),), {"exec": {"r": 1}}, {"exec": {}}),
            *({"futex": (4, 5)}, 6, (7, 8)),
        ),
    ),
    (DisarmRequest(), DisarmAnswer(1)),
    (RescopeRequest(), RescopeAnswer()),
    (CertificateRequest(), CertificateAnswer("")),
]


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = channel.pair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def fds() -> Iterator[list[int]]:
    """Two file descriptors for the receiver to take over."""
    before = open_fds()
    yield [os.open("/dev/null", os.O_RDONLY) for _ in range(2)]
    assert open_fds() == before


def received(end: socket.socket, kind: type[Any]) -> Reply[Any] | Failure:
    return channel.decode_answer(kind, *channel.receive(end))


def test_every_verb_has_its_request_and_answer() -> None:
    assert {type(request) for request, _ in EXCHANGES} == set(REQUESTS.values())
    for request, answer in EXCHANGES:
        assert request.answer is type(answer)


@pytest.mark.parametrize(("request_", "answer"), EXCHANGES)
def test_what_is_sent_arrives(
    ends: tuple[socket.socket, socket.socket], request_: Request[Any], answer: Any
) -> None:
    assert decode_request(encode_request(request_)) == request_
    ours, theirs = ends
    channel.send_answer(ours, answer, {})
    assert received(theirs, request_.answer) == Reply(answer, {})


def test_what_the_compiler_is_asked_arrives() -> None:
    request = BuildRequest(SECTIONS, {"SCOPED": 1})
    assert channel.decode(BuildRequest, channel.encode(request)) == request


def test_file_descriptors_come_under_their_names(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    answer = BuildAnswer((ProgramName("cba_exec", "sched_process_exec"),), {}, "0.1", "")
    read, write = os.pipe()
    channel.send_answer(ours, answer, {"write": write, "read": read})
    os.close(read)
    os.close(write)
    reply = received(theirs, BuildAnswer)
    assert isinstance(reply, Reply)
    assert reply.fds.keys() == {"read", "write"}
    os.write(reply.fds["write"], b"through")
    assert os.read(reply.fds["read"], 100) == b"through"
    channel.close_all(reply.fds.values())


def test_a_failure_arrives_instead(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    failure = Failure("no_btf", "there is none")
    channel.send_failure(ours, failure)
    assert received(theirs, PrepareAnswer) == failure


@pytest.mark.parametrize("room", [0, 1])
def test_file_descriptors_that_do_not_fit_are_the_cause(
    ends: tuple[socket.socket, socket.socket], fds: list[int], room: int
) -> None:
    ours, theirs = ends
    channel.send_answer(ours, RescopeAnswer(), {"a": fds[0], "b": fds[1]})
    channel.close_all(fds)
    with no_more_files(room), pytest.raises(OSError, match="Too many open files"):
        channel.receive(theirs)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\xff",
        b"[]",
        b"[" * 100_000,
        b'{"verb": "arm"}',
        b'{"verb": "load", "request": {}}',
        b'{"verb": ["disarm"], "request": {}}',
        b'{"verb": "disarm", "request": []}',
        b'{"verb": "disarm", "request": {"path": "/etc/shadow"}}',
        b'{"verb": "disarm", "request": {}, "path": "/etc/shadow"}',
        b'{"verb": "prepare", "request": {}}',
    ],
)
def test_what_is_no_request_is_refused(packet: bytes) -> None:
    with pytest.raises(Malformed):
        decode_request(packet)


def arming(**changes: object) -> bytes:
    """Return a packet that arms, with some fields of plan, scope or the request itself changed."""
    request: dict[str, Any] = asdict(ArmRequest(Plan(), CALLER, False, False))
    for name, value in changes.items():
        path = name.split("__")
        holder = request[path[0]] if len(path) == 2 else request
        holder[path[-1]] = value
    return json.dumps({"verb": "arm", "request": request}).encode()


def test_a_packet_that_arms_is_taken() -> None:
    assert decode_request(arming()) == ArmRequest(Plan(), CALLER, False, False)


@pytest.mark.parametrize(
    "change",
    [
        {"measure_probes": 1},
        {"wants_tables": None},
        {"run_id": None},
        {"run_id": "7"},
        {"run_id": f"{RUN_ID}\n"},
        {"plan": None},
        {"plan__scoped": "yes"},
        {"plan__sections": "runqlat"},
        {"plan__sections": ["runqlat", 1]},
        {"plan__sections": []},
        {"plan__sections": ["files"]},
        {"plan__sections": ["exec", "runqlat"]},
        {"plan__details": ["files"]},
        {"plan__details": ["wait_functions"]},
        {"plan__timing": "sundial"},
        {"plan__transport": "auto"},
        {"plan__source": "int main() {}"},
        {"scope__kind": "path"},
        {"scope__pid": "1"},
        {"scope__pid": True},
        {"scope__pid": 1.0},
        {"scope__cgroups": [1]},  # the scope is not a cgroup
        {"scope__cgroups": "/a"},
        {"scope__client": ["/run/socket", 1]},
        {"scope__client": ["::1"]},
        {"scope__client": ["::1", 1, 2]},
        {"scope__server": ["::1", "1"]},
    ],
    ids=str,
)
def test_a_field_that_is_not_as_stated_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        decode_request(arming(**change))


@pytest.mark.parametrize("ids", [[], [0], [-1], [1 << 64], [1] * 33, ["/a"]], ids=str)
def test_a_cgroup_is_a_chain_of_ids(ids: list[Any]) -> None:
    assert decode_request(arming(scope__kind="cgroup", scope__cgroups=[1, 2]))
    with pytest.raises(Malformed):
        decode_request(arming(scope__kind="cgroup", scope__cgroups=ids))


@pytest.mark.parametrize(
    "change",
    [
        {"transport": "pipe"},
        {"watermark": -1},
        {"watermark": 1 << 32},
        {"rare_watermark": 1 << 32},
        {"have": [[]]},
    ],
)
def test_no_such_buffers_can_be_asked_for(change: dict[str, object]) -> None:
    request = {"transport": "perf", "have": [], "watermark": 1, "rare_watermark": 1} | change
    with pytest.raises(Malformed):
        decode_request(json.dumps({"verb": "buffers", "request": request}).encode())


@pytest.mark.parametrize("value", [{"a": 1, "b": 1.0}, {"a": True}, {"a": None}, [1]], ids=str)
def test_counts_by_name_are_whole_numbers(value: object) -> None:
    assert channel.taken(dict[str, int], {"a": 1, "b": 0}) == {"a": 1, "b": 0}
    with pytest.raises(Malformed):
        channel.taken(dict[str, int], value)


@pytest.mark.parametrize("named", [[], ["a"], ["a", "a"], ["a", "b", "c"], [1, 2], "ab"])
def test_file_descriptors_without_a_name_each_are_closed(fds: list[int], named: object) -> None:
    packet = json.dumps({"answer": {}, "fds": named}).encode()
    with pytest.raises(Malformed):
        channel.decode_answer(RescopeAnswer, packet, fds)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"answer": {}},
        {"answer": {"changed": 1}, "fds": ["a", "b"]},
        {"failure": asdict(Failure("no_btf", "with file descriptors"))},
    ],
)
def test_what_came_with_no_answer_is_closed(fds: list[int], message: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        channel.decode_answer(RescopeAnswer, json.dumps(message).encode(), fds)


def test_every_field_of_a_message_has_a_type_that_is_checked() -> None:
    """The decoder compares a value's type with a type that it does not handle, and refuses it."""
    messages = [ProgramStats, Buffer, ScopeNumbers, Plan, Geometry, *REQUESTS.values()]
    for kind in [*messages, *(request.answer for request in REQUESTS.values())]:
        hints = get_type_hints(kind)
        assert not [field.name for field in fields(kind) if hints[field.name] in (Any, float)]
