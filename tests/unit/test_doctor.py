"""``doctor``: each finding is true of what it looked at, names the cure, and decides the status."""

import contextlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.findings import states, texts

from agent.cli import main
from agent.client.spawn import AgentDidNotStart
from agent.doctor import collecting, command, on_linux, second, visible
from agent.doctor.finding import Finding, State, failed, ok, warning
from agent.settings import Settings
from agent.streams.shared import confinement, limits
from agent.streams.shared.causes import cannot
from agent.streams.shared.control_groups import Groups
from agent.streams.shared.support import Feature, Missing, Unknown
from agent.words import Json

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


def test_the_lines_of_a_compiler_stay_lines(
    found: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    found(failed("collection", "x.h:1:5: error: no\nint broken;\n    ^"))
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out.splitlines()[1:3] == ["  int broken;", "      ^"]


def test_what_it_quotes_writes_no_finding_and_no_escape_sequence(
    found: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    found(failed("socket", "\x1b]0;x\x07\nok  forged \udcff"))
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert not any(line.startswith("ok") for line in shown.splitlines())


def test_it_counts_what_it_found(
    found: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    found(ok("a", "x"), ok("b", "x"), failed("c", "x"))
    main(["doctor"])
    assert capsys.readouterr().out.endswith("\n2 ok, 0 warnings, 1 failed\n")


def test_what_cannot_be_read_ends_no_other_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterator[Finding]:
        yield ok("clock", "x")
        raise PermissionError(13, "Permission denied", "/sys/x")

    def last(*_: object) -> Iterator[Finding]:
        yield ok("last", "x")

    for name in ("kernel", "bcc", "lockdown", "resource_limits", "tracers"):
        monkeypatch.setattr(on_linux, name, lambda: iter(()))
    monkeypatch.setattr(on_linux.Libraries, "findings", lambda self: iter(()))
    monkeypatch.setattr(on_linux.Libraries, "service", last)
    monkeypatch.setattr(on_linux, "second", last)
    monkeypatch.setattr(on_linux, "machine", broken)
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
    monkeypatch.setattr(collecting, "interpreters", lambda: [without])
    [missing] = collecting.bcc()
    assert missing.state is State.FAILED
    assert f"{without}: No module named bcc" in missing.text
    assert "apt-get install python3-bpfcc" in missing.text


def test_the_interpreter_that_says_most_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    none = interpreter(tmp_path / "none", "echo \"No module named 'bcc'\" >&2; exit 1")
    damaged = interpreter(tmp_path / "damaged", "echo 'invalid ELF header' >&2; exit 1")
    old = interpreter(
        tmp_path / "old", "case $3 in *version_info*) printf 'Python 3.8';; *) echo 0.12.0; esac"
    )
    for telling, told in ((damaged, "invalid ELF header"), (old, "is Python 3.8, and the agent")):
        for order in ([none, telling], [telling, none]):
            monkeypatch.setattr(collecting, "interpreters", lambda order=order: order)
            [missing] = collecting.bcc()
            assert missing.state is State.FAILED
            assert told in missing.text
            assert telling in missing.text


@pytest.mark.parametrize(
    ("content", "state", "told"),
    [
        ("[none] integrity confidentiality", State.OK, "off"),
        ("none [integrity] confidentiality", State.OK, "integrity, which permits tracing"),
        ("none integrity [confidentiality]", State.FAILED, "boot with lockdown=integrity"),
        ("other words", State.OK, "off"),
        (None, State.OK, "this kernel has none"),
    ],
)
def test_lockdown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None, state: State, told: str
) -> None:
    file = tmp_path / "security/lockdown"
    if content is not None:
        file.parent.mkdir()
        file.write_text(content)
    monkeypatch.setattr(confinement, "LOCKDOWN", file)
    [finding] = collecting.lockdown()
    assert finding.state is state
    assert told in finding.text


def test_what_no_file_system_shows_is_not_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(confinement, "LOCKDOWN", tmp_path / "lockdown")
    [finding] = collecting.lockdown()
    assert finding.state is State.WARNING
    assert finding.text.startswith("not known: securityfs is not mounted (mount -t securityfs ")
    monkeypatch.setattr(visible, "SYS", tmp_path / "none")
    [finding] = collecting.lockdown()
    assert finding.text.startswith("not known: /sys is not mounted")


def test_limits_of_groups_that_are_not_visible_are_not_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(limits, "least_memory", lambda: limits.Memory(1 << 40, ""))
    monkeypatch.setattr(collecting.control_groups, "limits", lambda controller: [])
    monkeypatch.setattr(visible, "why_proc_lacks_us", lambda: "")
    monkeypatch.setattr(collecting, "why_not_proc", lambda: "")
    monkeypatch.setattr(visible, "groups", lambda controller: Groups(0, "", ()))
    told = texts(collecting.resource_limits())
    assert (told["memory"], told["tasks"]) == ("1,048,576 MiB left", "no control group limits them")
    for group in (Groups(2, "/a", ()), Groups(2, "/a", (tmp_path / "hidden",))):
        monkeypatch.setattr(visible, "groups", lambda controller, group=group: group)
        found = [*collecting.resource_limits()]
        assert states(found)["memory"] is states(found)["tasks"] is State.WARNING
        assert "not known: the control group /a is not mounted here" in texts(found)["memory"]
        assert "not known: the control group /a is not mounted here" in texts(found)["tasks"]
    monkeypatch.setattr(visible, "why_proc_lacks_us", lambda: "no /proc")
    assert texts(collecting.resource_limits())["tasks"] == "not known: no /proc"
    monkeypatch.setattr(collecting, "why_not_proc", lambda: "no /proc")
    assert texts(collecting.resource_limits())["memory"] == "not known: no /proc"


def test_a_limit_that_is_near_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "files_allowed", lambda: 100)
    monkeypatch.setattr(limits, "least_memory", lambda: limits.Memory(1, "1 MiB left. Allow 256."))
    found = [*collecting.resource_limits()]
    assert states(found)["open_files"] is states(found)["memory"] is State.WARNING
    assert "ulimit -n 1024" in texts(found)["open_files"]
    assert texts(found)["memory"] == "1 MiB left. Allow 256."


def test_what_maps_count_against_is_not_known_where_none_can_be_created(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(collecting.privileges, "can_load_programs", lambda: True)
    monkeypatch.setattr(confinement, "limits_locked_memory", lambda: None)
    [finding] = [f for f in collecting.resource_limits() if f.check == "locked_memory"]
    assert finding.state is State.WARNING
    assert "not known" in finding.text


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

    def allow_compiling(self, deadline_s: float) -> None:
        """Wait for answers as long as they may take."""

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
    why = {"biolatency": "no such tracepoint", "preemption": "a reason"}
    started = {"armed": ["exec"], "unavailable": why}
    [_, missing, limit, found] = collected(started, {**EVIDENCE, "completeness": whole})
    assert missing == warning("tracepoints", "biolatency cannot be measured: no such tracepoint")
    assert limit.text == "programs that the kernel preempts are not made up for: a reason"
    assert found.state is state
    assert "7 lost. lost: 7 events" in found.text


@pytest.mark.parametrize(
    ("reasons", "again"), [(["unmatched: x", "unseen: y"], True), (["unseen: y", "lost: z"], False)]
)
def test_a_second_of_which_some_went_unseen_says_what_to_do(
    collected: Callable[..., list[Finding]], reasons: list[str], again: bool
) -> None:
    whole = {"verdict": "degraded", "reasons": reasons, "streams": {}}
    [*_, found] = collected({"armed": ["exec"]}, {**EVIDENCE, "completeness": whole})
    assert (". Try again: if it stays so, runs will be degraded likewise" in found.text) == again


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
