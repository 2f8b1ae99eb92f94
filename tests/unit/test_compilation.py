"""The supervisor returns programs or a cause, whether or not the compiling process works.

The compiler is a stand-in: a script that does one thing wrong, or everything right.
"""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.descriptors import open_fds
from fakes.processes import state_of
from fakes.waiting import eventually

from agent.streams.shared import channel
from agent.streams.shared.build_messages import BuildRequest
from agent.streams.shared.causes import CannotCollect
from agent.streams.supervisor import compilation
from agent.streams.supervisor.compilation import Abandoned, Built, Compiler

PRELUDE = """
import json, os, signal, socket, sys, time
channel = socket.socket(fileno=int(sys.argv[1]))
def send(message, *fds):
    socket.send_fds(channel, [json.dumps(message).encode()], fds)
def answer(programs, **fds):
    built = {"programs": programs, "unavailable": {"runqlat": "why"}, "bcc": "0.1",
             "newer_refused": ""}
    send({"answer": built, "fds": list(fds)}, *fds.values())
def fail(code, message):
    send({"failure": {"code": code, "message": message, "of_scope": False}})
def pipe():
    return os.pipe()[0]
"""
GOOD = """
request = json.loads(channel.recv(1 << 20))
assert request == {"sections": ["exec"], "constants": {"N": 1}}, request
programs = [{"name": "cba_exec", "hook": "sched_process_exec"}]
answer(programs, sched_process_exec=pipe())
"""
HANGS = "time.sleep(600)"
READS = "channel.recv(1 << 20)\n"
"""A process that exits without reading the request resets the connection and loses its answer."""

REQUEST = BuildRequest(("exec",), {"N": 1})

Build = Callable[..., Built]


def children() -> set[str]:
    """Return the children of this process, including those that ended but were not reaped."""
    tasks = Path("/proc/self/task").iterdir()
    return {pid for task in tasks for pid in (task / "children").read_text().split()}


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Build]:
    """``build(script)``: the result of a compiler that runs this script, checked for leaks."""
    monkeypatch.setattr(compilation, "interpreters", lambda: [sys.executable])
    monkeypatch.setattr(compilation, "COMPILER", tmp_path / "stand_in.py")
    ours, agent = channel.pair()
    compilers = []
    before, children_before = open_fds(), children()

    def run(script: str, **settings: float) -> Built:
        (tmp_path / "stand_in.py").write_text(PRELUDE + script)
        compilers.append(Compiler(ours, **settings))
        return compilers[-1].build(REQUEST, [])

    with ours, agent:
        yield run
        assert all(compiler.pid is None for compiler in compilers)
        assert open_fds() == before
    # other tests' fixtures have children of their own
    assert children() == children_before


def test_programs_come_with_their_fds(build: Build) -> None:
    built = build(GOOD)
    [(name, hook, fd)] = built.programs
    assert (name, hook) == ("cba_exec", "sched_process_exec")
    assert Path(f"/proc/self/fd/{fd}").readlink().name.startswith("pipe:")
    assert built.unavailable == {"runqlat": "why"}
    assert built.bcc == "0.1"
    assert built.awaited_fd is None
    built.close()


def test_the_map_of_awaited_execs_is_recognized_by_its_name(build: Build) -> None:
    built = build(GOOD.replace("answer(programs,", "answer(programs, awaited_execs=pipe(),"))
    [(_, _, fd)] = built.programs
    assert built.awaited_fd not in (None, fd)
    built.close()


@pytest.mark.parametrize(
    ("script", "code", "expected"),
    [
        ("import ctypes; ctypes.string_at(0)", "compiler_crashed", "killed by SIGSEGV"),
        ("os.abort()", "compiler_crashed", "killed by SIGABRT"),
        ("sys.exit(3)", "compiler_crashed", "exit status 3"),
        ("raise ValueError('last words')", "compiler_crashed", "ValueError: last words"),
        (f"{READS}os._exit(4)", "compiler_crashed", "exit status 4"),
        (f"{READS}channel.close(); {HANGS}", "compiler_crashed", "kept running"),
        (f"{READS}channel.send(b'nonsense')", "compiler_crashed", "malformed answer"),
        (READS + "send({})", "compiler_crashed", "malformed answer"),
        (READS + "send({}, pipe())", "compiler_crashed", "malformed answer"),
        (READS + "answer([], sched_process_exec=pipe())", "compiler_crashed", "malformed answer"),
        (
            READS + "answer([{'name': 'cba_exec', 'hook': 'sched_process_exec'}])",
            "compiler_crashed",
            "malformed answer",
        ),
        (
            READS
            + "send({'failure': {'code': 'no_btf', 'message': '', 'of_scope': False}}, pipe())",
            "compiler_crashed",
            "malformed answer",
        ),
        (READS + "fail('no_btf', 'none here')", "no_btf", "none here"),
        (READS + "fail('kernel_refused', 'EPERM')", "kernel_refused", "EPERM"),
        ("raise MemoryError", "out_of_memory", "exit status 1"),
        ("os.write(2, b'std::bad_alloc'); os.abort()", "out_of_memory", "SIGABRT"),
        ("raise OSError(24, os.strerror(24))", "too_many_files", "ulimit -n"),
        (READS + "fail('load_failed', 'R1 bad')", "load_failed", "R1 bad"),
        (READS + "fail('of its own', 'huh')", "compiler_crashed", "huh"),
        (READS + "fail('compile_failed', 'a.c:1')", "compile_failed", "a.c:1"),
    ],
)
def test_each_way_to_fail_has_its_cause(
    build: Build, script: str, code: str, expected: str
) -> None:
    with pytest.raises(CannotCollect) as failure:
        build(script)
    assert failure.value.code == code
    assert expected in failure.value.message


@pytest.mark.parametrize(
    "script",
    [HANGS, "os.kill(os.getpid(), signal.SIGSTOP)", "signal.signal(15, signal.SIG_IGN)\n" + HANGS],
)
def test_a_hanging_compiler_is_given_up(build: Build, script: str) -> None:
    with pytest.raises(CannotCollect) as failure:
        build(script, deadline_s=0.3)
    assert failure.value.code == "compiler_timeout"
    assert "0.3 s" in failure.value.message
    assert "--compile-deadline" in failure.value.message


def test_one_that_answers_and_will_not_end_is_ended(build: Build) -> None:
    build(GOOD + HANGS).close()


def test_the_next_one_is_tried_anew(build: Build) -> None:
    with pytest.raises(CannotCollect):
        build("os.abort()")
    build(GOOD).close()


def test_a_log_without_end_is_cut(build: Build) -> None:
    with pytest.raises(CannotCollect) as failure:
        build("print('x' * 1_000_000, flush=True); os.abort()")
    assert failure.value.message.count("x") > 1_000
    assert len(failure.value.message) < channel.MAX_MESSAGE / 4


def test_the_agents_end_ends_the_compilation(build: Build, tmp_path: Path) -> None:
    ours, agent = channel.pair()
    (tmp_path / "stand_in.py").write_text(PRELUDE + HANGS)
    agent.close()
    with ours, pytest.raises(Abandoned):
        Compiler(ours).build(REQUEST, [])


def test_a_request_that_waits_does_not_disturb(build: Build, tmp_path: Path) -> None:
    ours, agent = channel.pair()
    (tmp_path / "stand_in.py").write_text(PRELUDE + GOOD)
    with ours, agent:
        agent.send(b"{}")
        Compiler(ours).build(REQUEST, []).close()


def test_it_dies_with_its_supervisor(tmp_path: Path) -> None:
    """The compiler may hold programs that it has not handed over yet."""
    script = tmp_path / "stand_in.py"
    pidfile = tmp_path / "pid"
    script.write_text(
        PRELUDE + f"open({str(pidfile)!r}, 'w').write(str(os.getpid()) + '.')\n{HANGS}"
    )
    supervisor = os.fork()
    if supervisor == 0:
        compilation.COMPILER = script
        compilation.interpreters = lambda: [sys.executable]
        try:
            ours, _agent = channel.pair()
            Compiler(ours).build(REQUEST, [])
        finally:
            os._exit(1)
    eventually(lambda: pidfile.exists() and pidfile.read_text().endswith("."))
    compiler = int(pidfile.read_text()[:-1])
    os.kill(supervisor, 9)
    os.waitpid(supervisor, 0)
    eventually(lambda: not state_of(compiler))


@pytest.mark.parametrize("found", [[], ["/nonexistent/python3"]])
def test_no_interpreter_at_all(monkeypatch: pytest.MonkeyPatch, found: list[str]) -> None:
    monkeypatch.setattr(compilation, "interpreters", lambda: found)
    ours, agent = channel.pair()
    with ours, agent, pytest.raises(CannotCollect) as failure:
        Compiler(ours).build(REQUEST, [])
    assert failure.value.code == ("compiler_crashed" if found else "no_bcc")


def test_after_an_interpreter_without_bcc_the_next_one_is_tried(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = tmp_path / "without"
    without.write_text(
        f"#!{sys.executable}\n{PRELUDE.replace('argv[1]', 'argv[3]')}{READS}"
        "fail('no_bcc', 'No module named bcc')\n"
    )
    without.chmod(0o755)
    monkeypatch.setattr(compilation, "interpreters", lambda: [str(without), sys.executable])
    build(GOOD).close()
    monkeypatch.setattr(compilation, "interpreters", lambda: [str(without)])
    with pytest.raises(CannotCollect) as failure:
        build(GOOD)
    assert failure.value.code == "no_bcc"
    assert failure.value.message == "No module named bcc"


def test_what_keeps_an_interpreter_from_its_bcc_says_more_than_that_another_has_none(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for number, why in enumerate(["libbcc.so.0: invalid ELF header", compilation.NO_SUCH_MODULE]):
        script = tmp_path / str(number)
        script.write_text(
            f"#!{sys.executable}\n{PRELUDE.replace('argv[1]', 'argv[3]')}{READS}"
            f"fail('no_bcc', {why!r})\n"
        )
        script.chmod(0o755)
        found.append(str(script))
    for order in (found, found[::-1]):
        monkeypatch.setattr(compilation, "interpreters", lambda order=order: order)
        with pytest.raises(CannotCollect, match="invalid ELF header"):
            build(GOOD)


def interpreter(path: Path, version: str, bcc: bool = True) -> str:
    """Write a stand-in for an old interpreter: it says its version, and runs nothing of ours.

    ``bcc``: whether it can import something as that.
    """
    importing = "sys.modules['bcc'] = sys" if bcc else "sys.meta_path.clear()"
    path.write_text(
        "#!/bin/sh\n"
        'case "$*" in *-c*) ;; *) echo "TypeError: not subscriptable" >&2; exit 1;; esac\n'
        f'for program; do :; done\nexec {sys.executable} -c "import sys\n'
        f'sys.version_info = {version}\n{importing}\nexec(sys.argv[1])" "$program"\n'
    )
    path.chmod(0o755)
    return str(path)


def test_an_interpreter_that_is_too_old_is_named_and_the_next_one_tried(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = interpreter(tmp_path / "old", "(3, 8, 10)")
    monkeypatch.setattr(compilation, "interpreters", lambda: [old, sys.executable])
    build(GOOD).close()
    with pytest.raises(CannotCollect, match=f"{old} is Python 3.8, and") as failure:
        build(f"{READS}fail('no_bcc', {compilation.NO_SUCH_MODULE!r})")
    assert failure.value.code == "no_bcc"
    with pytest.raises(CannotCollect) as failure:
        build("os.abort()")
    assert failure.value.code == "compiler_crashed"


def test_an_old_interpreter_without_bcc_says_no_more_than_any_without_it(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = interpreter(tmp_path / "old", "(3, 8, 10)", bcc=False)
    assert compilation.NO_SUCH_MODULE in str(compilation.too_old(old))
    monkeypatch.setattr(compilation, "interpreters", lambda: [old, sys.executable])
    build(GOOD).close()
    with pytest.raises(CannotCollect, match="invalid ELF header") as failure:
        build(f"{READS}fail('no_bcc', 'invalid ELF header')")
    assert failure.value.code == "no_bcc"


def test_whether_an_interpreter_is_too_old_is_not_asked_after_the_deadline(tmp_path: Path) -> None:
    old = interpreter(tmp_path / "old", "(3, 8, 10)")
    assert compilation.too_old(old, within_s=-1.0) is None


def test_an_interpreter_that_is_new_enough_failed_by_itself(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = interpreter(tmp_path / "new", "(3, 9, 0)")
    monkeypatch.setattr(compilation, "interpreters", lambda: [new])
    with pytest.raises(CannotCollect) as failure:
        build(GOOD)
    assert failure.value.code == "compiler_crashed"
    assert "TypeError: not subscriptable" in failure.value.message


def test_where_memory_is_short_the_compiler_is_what_the_kernel_takes(build: Build) -> None:
    with pytest.raises(CannotCollect) as failure:
        build(f"{READS}fail('x', open('/proc/self/oom_score_adj').read())")
    assert "failed: 1000" in failure.value.message
