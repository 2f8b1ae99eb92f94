"""``doctor``: each finding is true of what it looked at, names the cure, and decides the status."""

import contextlib
import errno
import json
import os
import socket
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.agent_server import Request, serving
from fakes.certificates import issued
from fakes.run_agent import RunAgent
from fakes.tls_agent import tls_agent

from agent.cli import main
from agent.client.spawn import AgentDidNotStart
from agent.doctor import collecting, command, machine, second, service, tracers
from agent.doctor.finding import Finding, State, failed, ok, warning
from agent.settings import Settings, SocketFile
from agent.streams.shared import confinement, limits
from agent.streams.shared.causes import cannot
from agent.streams.shared.support import Feature, Missing, Unknown
from agent.words import Json


def states(findings: Iterable[Finding]) -> dict[str, State]:
    return {finding.check: finding.state for finding in findings}


def texts(findings: Iterable[Finding]) -> dict[str, str]:
    return {finding.check: finding.text for finding in findings}


# --- the whole


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that sets what the checks find."""

    def find(*findings: Finding) -> None:
        monkeypatch.setattr(command, "_findings", lambda settings: iter(findings))

    return find


@pytest.mark.parametrize(
    ("findings", "worst", "status"),
    [
        ([ok("a", "x")], "ok", 0),
        ([ok("a", "x"), warning("b", "y")], "warning", 0),
        ([failed("a", "x"), warning("b", "y")], "failed", 1),
    ],
)
def test_what_fails_decides_the_status(
    found: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    findings: list[Finding],
    worst: str,
    status: int,
) -> None:
    found(*findings)
    assert main(["doctor"]) == status
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(None, 2) for line in lines[:-2]] == [[*f[1::-1], f[2]] for f in findings]
    assert main(["doctor", "--json"]) == status
    document = json.loads(capsys.readouterr().out)
    assert document["state"] == worst
    assert document["checks"] == [finding._asdict() for finding in findings]


def test_it_counts_what_it_found(
    found: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    found(ok("a", "x"), ok("b", "x"), failed("c", "x"))
    main(["doctor"])
    assert capsys.readouterr().out.endswith("\n2 ok, 0 warning, 1 failed\n")


def test_what_cannot_be_read_ends_no_other_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterator[Finding]:
        yield ok("clock", "x")
        raise PermissionError(13, "Permission denied", "/sys/x")

    for name in ("kernel", "bcc", "lockdown", "resource_limits", "tracers"):
        monkeypatch.setattr(command, name, lambda: iter(()))
    for name in ("service", "second"):
        monkeypatch.setattr(command, name, lambda settings: iter([ok("last", "x")]))
    monkeypatch.setattr(command, "machine", broken)
    assert [*command._findings(Settings())] == [
        ok("last", "x"),
        ok("clock", "x"),
        warning("machine", "not known: /sys/x: Permission denied"),
        ok("last", "x"),
    ]


def test_its_options_are_those_of_an_agent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Settings] = []
    monkeypatch.setattr(command, "_findings", lambda settings: seen.append(settings) or iter(()))
    monkeypatch.setenv("CHAINBENCH_PORT", "9191")
    assert main(["doctor", "--timing", "accounting"]) == 0
    assert seen == [Settings(port=9191, timing="accounting")]


# --- what collection needs


def raising(error: Exception) -> Callable[[], None]:
    def check() -> None:
        raise error

    return check


def test_a_feature_fails_if_everything_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    features = [
        Feature("there", lambda: None),
        Feature("needed", raising(cannot("no_btf", "gone"))),
        Feature("useful", raising(Missing("too old: newer")), "a detail"),
        Feature("hidden", raising(Unknown("cannot be read"))),
    ]
    monkeypatch.setattr(collecting, "FEATURES", features)
    [kernel, *rest] = collecting.kernel()
    assert os.uname().release in kernel.text
    assert states(rest) == {
        "there": State.OK,
        "needed": State.FAILED,
        "useful": State.WARNING,
        "hidden": State.WARNING,
    }
    told = texts(rest)
    assert "needs a kernel built with CONFIG_DEBUG_INFO_BTF=y" in told["needed"]
    assert told["useful"] == "too old: newer (needed for a detail)"
    assert told["hidden"] == "not known: cannot be read"


def interpreter(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_bcc_is_imported_by_whoever_has_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without = interpreter(tmp_path / "without", "echo 'No module named bcc' >&2; exit 1")
    having = interpreter(tmp_path / "having", "echo 0.26.0")
    monkeypatch.setattr(collecting, "interpreters", lambda: [without, having])
    assert [*collecting.bcc()] == [ok("bcc", f"0.26.0, of {having}")]
    monkeypatch.setattr(collecting, "interpreters", lambda: [str(tmp_path / "none"), without])
    [missing] = collecting.bcc()
    assert missing.state is State.FAILED
    assert f"{without}: No module named bcc" in missing.text
    assert "apt-get install python3-bpfcc" in missing.text


@pytest.mark.parametrize(
    ("content", "state", "told"),
    [
        ("[none] integrity confidentiality", State.OK, "off"),
        ("none [integrity] confidentiality", State.OK, "integrity, which permits tracing"),
        ("none integrity [confidentiality]", State.FAILED, "boot with lockdown=integrity"),
        (None, State.OK, "not visible"),
    ],
)
def test_lockdown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None, state: State, told: str
) -> None:
    file = tmp_path / "lockdown"
    if content is not None:
        file.write_text(content)
    monkeypatch.setattr(confinement, "LOCKDOWN", file)
    [finding] = collecting.lockdown()
    assert finding.state is state
    assert told in finding.text


def test_a_limit_that_is_near_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "files_allowed", lambda: 100)
    monkeypatch.setattr(limits, "least_memory", lambda: limits.Memory(1, "1 MiB left. Allow 256."))
    found = [*collecting.resource_limits()]
    assert states(found)["open_files"] is states(found)["memory"] is State.WARNING
    assert "ulimit -n 1024" in texts(found)["open_files"]
    assert texts(found)["memory"] == "1 MiB left. Allow 256."


# --- the service


def of_service(**settings: Any) -> dict[str, Finding]:
    return {finding.check: finding for finding in service.service(Settings(**settings))}


def test_a_port_that_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert of_service(port=port)["port"] == ok("port", f"127.0.0.1:{port} is free")


def test_a_port_that_another_service_has() -> None:
    class Other(RunAgent):
        def answer(self, request: Request) -> tuple[int, dict[str, Any]]:
            return 200, {"other": "service"}

    with serving(Other()) as other:
        port = int(other.url.rpartition(":")[2])
        found = of_service(port=port)["port"]
    assert found.state is State.FAILED
    assert "Address already in use. Choose another with --port" in found.text
    assert f"ss -ltnp sport = :{port}" in found.text


def test_a_port_that_an_agent_has() -> None:
    with serving(RunAgent()) as agent:
        port = int(agent.url.rpartition(":")[2])
        expected = ok("port", f"an agent listens on 127.0.0.1:{port} already")
        assert of_service(port=port)["port"] == expected


class WithToken(RunAgent):
    def answer(self, request: Request) -> tuple[int, dict[str, Any]]:
        assert request.authorization is None
        return 401, {"error": "unauthorized", "message": "this agent requires a token"}


def test_a_port_that_an_agent_with_a_token_has() -> None:
    """It is known by its refusal: whoever has the port is shown no token."""
    with serving(WithToken()) as agent:
        port = int(agent.url.rpartition(":")[2])
        assert of_service(port=port)["port"].state is State.OK


def test_a_port_that_an_agent_with_tls_has(tmp_path: Path) -> None:
    files = issued(tmp_path / "tls", "bench.example")
    with tls_agent(tmp_path / "log", files, "--mock") as agent:
        port = int(agent.url.rpartition(":")[2])
        found = of_service(port=port, tls_files=files.both)
    assert found["port"] == ok("port", f"an agent listens on 127.0.0.1:{port} already")
    assert found["tls"].state is State.OK


def test_files_that_tls_cannot_be_served_with(tmp_path: Path) -> None:
    files, others = issued(tmp_path / "a"), issued(tmp_path / "b")
    found = of_service(port=0, tls_files=(str(files.certificate), str(others.key)))["tls"]
    assert found.state is State.FAILED
    assert "the key is not that of the certificate" in found.text
    missing = of_service(port=0, tls_files=(str(tmp_path / "none"), str(files.key)))["tls"]
    assert "none: No such file" in missing.text


def test_a_port_that_strangers_could_reach_needs_a_token(tmp_path: Path) -> None:
    found = of_service(host="0.0.0.0", port=0)["port"]
    assert found.state is State.FAILED
    assert "--token-file" in found.text
    token = tmp_path / "token"
    token.write_text("0123456789abcdef")
    token.chmod(0o644)
    found = of_service(host="0.0.0.0", port=0, token_file=str(token))["port"]
    assert found.state is State.FAILED
    assert "chmod 600" in found.text
    token.chmod(0o600)
    assert of_service(host="0.0.0.0", port=0, token_file=str(token))["port"].state is State.OK


def test_a_socket_that_can_be_made_and_others(tmp_path: Path) -> None:
    def state(path: Path) -> State:
        return of_service(port=0, socket=SocketFile(str(path), 0o660, None))["socket"].state

    assert state(tmp_path / "new/a.sock") is State.OK
    assert state(tmp_path / "no/such/a.sock") is State.FAILED
    (tmp_path / "file").touch()
    assert state(tmp_path / "file") is State.FAILED
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as sock:
        sock.bind(str(tmp_path / "left.sock"))
        assert state(tmp_path / "left.sock") is State.OK
    with serving(RunAgent(), unix=tmp_path / "agent.sock"):
        assert state(tmp_path / "agent.sock") is State.OK


@pytest.mark.parametrize("refused", [errno.EACCES, errno.EAGAIN, errno.EPROTOTYPE])
def test_a_socket_that_did_not_refuse_is_not_taken_for_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: int
) -> None:
    path = tmp_path / "s"
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as sock:
        sock.bind(str(path))
    monkeypatch.setattr(service, "_refused", lambda path: refused)
    found = of_service(port=0, socket=SocketFile(str(path), 0o660, None))["socket"]
    assert found.state is State.FAILED


def test_a_folder_is_looked_at_and_not_made(tmp_path: Path) -> None:
    folder, user = tmp_path / "data", str(os.getuid() or 64_321)

    def found(path: Path, user: str | None = user) -> Finding:
        return of_service(port=0, user=user, data_dir=str(path))["data_dir"]

    assert found(folder) == ok("data_dir", f"{folder} is missing and will be made")
    assert not folder.exists()
    folder.mkdir(0o700)
    os.chown(folder, int(user), -1)
    assert found(folder) == ok("data_dir", f"{folder} is this user's alone")
    folder.chmod(0o755)
    assert "chmod 700" in found(folder).text
    assert found(tmp_path / "a/b").state is State.FAILED
    if os.getuid() == 0:
        assert "needs --user" in found(folder, user=None).text


def test_a_user_that_is_missing_is_a_failure() -> None:
    assert of_service(port=0, user="no-such-user")["user"].state is State.FAILED


# --- the machine


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, str], None]:
    """A function that writes a file of a machine on which there is nothing else."""
    for module, name, path in [
        (machine, "SYSTEM", "sys/devices/system"),
        (machine, "POWER", "sys/class/power_supply"),
        (machine, "PROC", "proc"),
        (tracers, "PROC", "proc"),
        (tracers, "TRACEFS", "sys/kernel/tracing"),
    ]:
        (tmp_path / path).mkdir(parents=True, exist_ok=True)
        monkeypatch.setattr(module, name, tmp_path / path)

    def write(path: str, content: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)

    return write


CPU = "sys/devices/system/cpu"


@pytest.mark.parametrize(
    ("path", "content", "check", "told"),
    [
        (f"{CPU}/cpu0/cpufreq/scaling_governor", "powersave", "frequency_governor", "-g perf"),
        (f"{CPU}/intel_pstate/no_turbo", "0", "turbo", "echo 1 > "),
        (f"{CPU}/cpufreq/boost", "1", "turbo", "echo 0 > "),
        (f"{CPU}/smt/active", "1", "smt", "echo off > "),
        ("proc/cpuinfo", "flags\t: fpu hypervisor", "virtual_machine", "stolen_ms"),
        ("proc/pressure/io", "some avg10=0 avg60=12.5 total=1", "pressure", "io 12.5 %"),
        (f"{CPU}/cpu0/thermal_throttle/core_throttle_count", "7", "heat", "7 times by heat"),
    ],
)
def test_what_spoils_benchmarks_is_a_warning(
    root: Callable[[str, str], None], path: str, content: str, check: str, told: str
) -> None:
    clean = states(machine.machine())
    assert clean.get(check, State.OK) is State.OK
    root(path, content)
    found = [*machine.machine()]
    assert states(found)[check] is State.WARNING
    assert told in texts(found)[check]


@pytest.mark.parametrize(
    ("path", "content", "check", "told"),
    [
        (f"{CPU}/cpu0/cpufreq/scaling_governor", "performance", "frequency_governor", "perf"),
        (f"{CPU}/intel_pstate/no_turbo", "1", "turbo", "off"),
        (f"{CPU}/cpufreq/boost", "0", "turbo", "off"),
        ("proc/pressure/io", "some avg10=0 avg60=0.10 total=1", "pressure", "io 0.1 %"),
    ],
)
def test_what_is_as_it_should_be_is_said(
    root: Callable[[str, str], None], path: str, content: str, check: str, told: str
) -> None:
    assert "not " in texts(machine.machine())[check]
    root(path, content)
    found = [*machine.machine()]
    assert states(found)[check] is State.OK
    assert told in texts(found)[check]


def test_numa_balancing_matters_with_several_nodes(root: Callable[[str, str], None]) -> None:
    root("proc/sys/kernel/numa_balancing", "1")
    root("sys/devices/system/node/node0/x", "")
    assert "numa_balancing" not in states(machine.machine())
    root("sys/devices/system/node/node1/x", "")
    assert states(machine.machine())["numa_balancing"] is State.WARNING


def test_a_battery_is_a_warning(root: Callable[[str, str], None]) -> None:
    root("sys/class/power_supply/BAT0/online", "0")
    root("sys/class/power_supply/BAT0/type", "Battery")
    assert "battery" not in states(machine.machine())
    root("sys/class/power_supply/AC/online", "0")
    root("sys/class/power_supply/AC/type", "Mains")
    assert states(machine.machine())["battery"] is State.WARNING


def test_a_clock_that_is_slow_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_reading_ns", lambda: 1500)
    found = [*machine.machine()]
    assert states(found)["clock"] is State.WARNING
    assert "1500 ns" in texts(found)["clock"]


# --- tracers


def process(root: Callable[[str, str], None], tmp_path: Path, fd: str, name: str = "tool") -> None:
    root("proc/7/comm", f"{name}\n")
    root("proc/7/status", "TracerPid:\t0\n")
    (tmp_path / "proc/7/fd").mkdir(exist_ok=True)
    (tmp_path / "proc/7/fd/3").symlink_to(fd)


@pytest.mark.parametrize(
    ("fd", "fdinfo", "name", "told"),
    [
        ("anon_inode:bpf_link", "link_type:\traw_tracepoint\n", "tool", "attached BPF programs"),
        ("anon_inode:bpf_link", "link_type:\tcgroup\n", "tool", ""),
        ("anon_inode:[perf_event]", "", "perf", "perf (pid 7) has perf events"),
        ("anon_inode:[perf_event]", "", "cba-supervisor", ""),
        ("anon_inode:bpf_link", "link_type:\ttracing\n", "cba-supervisor", "attached"),
        ("socket:[1]", "", "tool", ""),
    ],
)
def test_another_tracer_is_named(
    root: Callable[[str, str], None], tmp_path: Path, fd: str, fdinfo: str, name: str, told: str
) -> None:
    process(root, tmp_path, fd, name)
    root("proc/7/fdinfo/3", fdinfo)
    found = [*tracers.tracers()]
    assert (states(found)["other_tracers"] is State.WARNING) == bool(told)
    assert told in texts(found)["other_tracers"]


def test_a_traced_process_is_named(root: Callable[[str, str], None], tmp_path: Path) -> None:
    process(root, tmp_path, "socket:[1]", "a\x1b[2J")
    root("proc/7/status", "Name:\tx\nTracerPid:\t42\n")
    told = texts(tracers.tracers())["other_tracers"]
    assert "(pid 7) is traced by another process" in told
    assert told.isprintable()


@pytest.mark.parametrize(
    ("tracer", "events", "state", "told"),
    [
        ("nop", "0", State.OK, "off"),
        ("function", "0", State.WARNING, "echo nop > "),
        ("nop", "X", State.WARNING, "echo 0 > "),
        (None, None, State.OK, "not visible"),
    ],
)
def test_ftrace(
    root: Callable[[str, str], None],
    tracer: str | None,
    events: str | None,
    state: State,
    told: str,
) -> None:
    if tracer is not None and events is not None:
        root("sys/kernel/tracing/current_tracer", tracer)
        root("sys/kernel/tracing/events/enable", events)
    found = [*tracers.tracers()]
    assert states(found)["ftrace"] is state
    assert told in texts(found)["ftrace"]


# --- one second


EVIDENCE: Json = {
    "available": True,
    "completeness": {"verdict": "complete", "reasons": [], "streams": {"runqlat": {"lost": 0}}},
    "overhead": {"events": 1234, "agent_cpu_ms": 12.0},
}


class Answering:
    """An agent's client with these answers."""

    def __init__(self, started: Json, evidence: Json) -> None:
        self._answers = {"/start": started, "/stop": evidence}

    def post(self, path: str, body: object = None) -> Json:
        return self._answers[path]


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Finding]]:
    """A function that returns the findings for these answers."""

    def run(started: Json, evidence: Json) -> list[Finding]:
        @contextlib.contextmanager
        def agent(arguments: list[str]) -> Iterator[Answering]:
            yield Answering(started, evidence)

        monkeypatch.setattr(second, "running_agent", agent)
        monkeypatch.setattr(second, "SECOND", 0.0)
        return [*second.second(Settings())]

    return run


def test_a_second_that_is_complete(collected: Callable[..., list[Finding]]) -> None:
    [armed, found] = collected({"armed": ["runqlat", "exec"]}, EVIDENCE)
    assert armed.state is State.OK
    assert armed.text.endswith("runqlat, exec")
    expected = "complete: 1,234 events in a second, 0 lost; the agent took 12 ms of CPU time"
    assert found == ok("collection", expected)


@pytest.mark.parametrize(
    ("verdict", "state"), [("degraded", State.WARNING), ("invalid", State.FAILED)]
)
def test_a_second_that_is_not(
    collected: Callable[..., list[Finding]], verdict: str, state: State
) -> None:
    whole = {"verdict": verdict, "reasons": ["lost: 7 events"], "streams": {"exec": {"lost": 7}}}
    started = {"armed": ["exec"], "unavailable": {"biolatency": "no such tracepoint"}}
    [_, missing, found] = collected(started, {**EVIDENCE, "completeness": whole})
    assert missing == warning("tracepoints", "biolatency cannot be measured: no such tracepoint")
    assert found.state is state
    assert "7 lost. lost: 7 events" in found.text


def test_a_second_without_evidence(collected: Callable[..., list[Finding]]) -> None:
    [found] = collected({"available": False}, {"available": False, "reason": "no BTF: a cure"})
    assert found == failed("collection", "no BTF: a cure")


def test_an_agent_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def agent(arguments: list[str]) -> None:
        raise AgentDidNotStart("the agent exited: a reason")

    monkeypatch.setattr(second, "running_agent", agent)
    assert [*second.second(Settings())] == [failed("collection", "the agent exited: a reason")]


def test_the_agent_of_the_second_has_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []

    def agent(arguments: list[str]) -> None:
        given.extend(arguments)
        raise AgentDidNotStart("a reason")

    monkeypatch.setattr(second, "running_agent", agent)
    [*second.second(Settings(compile_deadline_s=180.0))]
    assert given[given.index("--compile-deadline") + 1] == "180.000000s"


def test_synthetic_events_are_no_test_of_collection() -> None:
    [found] = second.second(Settings(mock=True))
    assert found.state is State.WARNING
