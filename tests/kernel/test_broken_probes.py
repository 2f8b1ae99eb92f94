"""Programs that do not compile, that the verifier refuses, that have no hook; a compiler that dies.

Each agent here runs from a copy of the package in which one thing is broken.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from fakes.copied_package import Copy
from fakes.processes import Bpftool, Launched, held
from fakes.program import program

from agent.model import SECTIONS

OTHERS = [section for section in SECTIONS if section != "biolatency"]

IN_BLOCK_C = "int on_block_rq_issue(u64 *ctx)\n{"
IN_FORK = "int on_sched_process_fork(u64 *ctx)\n{"
OUT_OF_BOUNDS = "\n\t*(volatile u64 *)(MAP_VALUE(SLOTS_FD) + bpf_get_current_pid_tgid()) = 1;"


@pytest.fixture
def bpftool(tool: Callable[[str], str]) -> Bpftool:
    return Bpftool(tool("bpftool"))


def nothing_is_attached(agent: Launched, bpftool: Bpftool) -> bool:
    return not bpftool.linked(bpftool.programs(held(agent.supervisor, "map")))


def test_what_does_not_compile_is_told_and_tried_again(copy: Copy, bpftool: Bpftool) -> None:
    copy.change("probes/kernel.h", "#pragma once", "#pragma once\n#error broken on purpose")
    with copy.launched() as agent:
        started = agent.start()
        assert (started["available"], started["code"]) == (False, "compile_failed")
        assert "broken on purpose" in started["reason"]
        assert agent.status()["ebpf"]["reason"] == started["reason"]
        assert nothing_is_attached(agent, bpftool)
        evidence = agent.stop()
        assert (evidence["available"], evidence["reason"]) == (False, started["reason"])
        assert not set(SECTIONS) & evidence.keys()
        copy.mend()
        with agent.run():
            pass


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("probes/block.c", IN_BLOCK_C, f"{IN_BLOCK_C}\n#error broken on purpose", "on purpose"),
        ("probes/block.c", IN_BLOCK_C, IN_BLOCK_C + OUT_OF_BOUNDS, "unbounded"),
        (
            "shared/specs.py",
            '"block_rq_complete"',
            '"block_rq_fulfil"',
            "tracepoint block_rq_fulfil",
        ),
        ("shared/specs.py", '"start_time_ns"', '"birthday"', "no field request.birthday"),
    ],
    ids=["does not compile", "refused by the verifier", "no tracepoint", "no field"],
)
def test_one_section_is_missing_and_the_others_run(
    copy: Copy, bpftool: Bpftool, name: str, old: str, new: str, told: str
) -> None:
    copy.change(name, old, new)
    with copy.launched() as agent:
        started = agent.start()
        assert started["armed"] == OTHERS
        assert told in started["unavailable"]["biolatency"]
        for _ in range(20):
            time.sleep(0.001)  # each ends in a wakeup: nothing else may happen in so short a run
        evidence = agent.stop()
        assert evidence["available"]
        assert evidence["unavailable"] == started["unavailable"]
        assert evidence["completeness"]["verdict"] == "degraded"
        assert set(OTHERS) <= evidence.keys()
        assert "biolatency" not in evidence
        assert evidence["runqlat"]["count"] > 0
        assert nothing_is_attached(agent, bpftool)
        attached = bpftool.programs(held(agent.supervisor, "map")).values()
        assert not any(name.startswith("cba_rq_") for name in attached)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"bpf_rdonly_cast"', '"not_there"', ""),
        ("= self.cast_id", "= 1", "Invalid argument"),
        ("len(distances) != 1", "len(distances) == 1", "1 distances"),
    ],
    ids=["an older kernel", "refused by the verifier", "fails"],
)
def test_reasons_are_known_without_what_newer_kernels_have(
    copy: Copy, old: str, new: str, told: str
) -> None:
    """A kernel that lacks it is nothing to tell of; one that refuses it is."""
    copy.change("compiler/newer_kernels.py", old, new)
    with (
        copy.launched() as agent,
        program("blocked") as blocked,
        agent.run(scope=blocked.scope) as run,
    ):
        own_ms = blocked.work("sleep 0.5")["ms"]
        log = agent.log
    assert ("optional kernel features disabled" in log) == bool(told)
    assert told in log
    [row] = [r for r in run.evidence["offcpu"]["top_reasons"] if r["reason"] == "clock_nanosleep"]
    assert row["ms"] == pytest.approx(own_ms, rel=0.1)


def test_without_the_schedulers_account_what_does_not_need_it_runs(copy: Copy) -> None:
    """A kernel without CONFIG_SCHED_INFO."""
    copy.change("shared/specs.py", '"sched_info.', '"no_such_info.')
    with copy.launched() as agent:
        started = agent.start()
        assert started["unavailable"].keys() == {"runqlat", "offcpu"}
        assert started["armed"] == ["biolatency", "exec", "syscall_counts"]
        assert agent.stop()["available"]


def test_a_refused_program_that_every_section_needs(copy: Copy, bpftool: Bpftool) -> None:
    copy.change("probes/process.c", IN_FORK, IN_FORK + OUT_OF_BOUNDS)
    with copy.launched() as agent:
        agent.settle()
        ebpf = agent.status()["ebpf"]
        assert (ebpf["available"], ebpf["code"]) == (False, "load_failed")
        assert "unbounded" in ebpf["reason"]
        assert not bpftool.programs(held(agent.supervisor, "map"))


# --- the compiling process itself


@pytest.fixture
def impatient(copy: Copy) -> Iterator[Launched]:
    """An agent that waits two seconds for a compilation, the first of which is over."""
    copy.change("supervisor/compilation.py", "DEADLINE_S = 20.0", "DEADLINE_S = 2.0")
    with copy.launched() as agent:
        agent.settle()
        yield agent


@pytest.mark.parametrize(
    ("number", "code", "told"),
    [
        (signal.SIGSEGV, "compiler_crashed", "killed by SIGSEGV"),
        (None, "compiler_timeout", "2 s"),
    ],
    ids=["crashes", "hangs"],
)
def test_a_compiler_that_fails_is_told_and_tried_again(
    impatient: Launched, bpftool: Bpftool, number: int | None, code: str, told: str
) -> None:
    agent = impatient
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(agent.start, sections=["exec"])
        compiler = agent.catch_compiler()
        assert agent.processes()["compiler"] == compiler
        if number is not None:
            os.kill(compiler, number)
            os.kill(compiler, signal.SIGCONT)
        started = answer.result()
    assert (started["available"], started["code"]) == (False, code)
    assert told in started["reason"]
    assert "tries again" in started["reason"]
    assert nothing_is_attached(agent, bpftool)
    assert agent.stop()["completeness"]["verdict"] == "invalid"
    with agent.run(sections=["exec"]):
        pass
