"""``doctor``: what of the machine spoils benchmarks, and which other tracers there are."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.findings import states, texts

from agent.doctor import machine, tracers, visible
from agent.doctor.finding import Finding, State
from agent.streams.shared import namespaces
from agent.streams.shared.control_groups import Groups
from agent.streams.shared.namespaces import FOREIGN, NOT_MOUNTED


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, str], None]:
    """A function that writes a file of a machine on which there is nothing else."""
    for module, name, path in [
        (machine, "SYSTEM", "sys/devices/system"),
        (machine, "POWER", "sys/class/power_supply"),
        (machine, "PROC", "proc"),
        (tracers, "PROC", "proc"),
        (tracers, "TRACEFS", "sys/kernel/tracing"),
        (visible, "PROC", "proc"),
        (visible, "SYS", "sys"),
    ]:
        (tmp_path / path).mkdir(parents=True, exist_ok=True)
        monkeypatch.setattr(module, name, tmp_path / path)
    (tmp_path / CPU).mkdir()

    def write(path: str, content: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)

    monkeypatch.setattr(visible, "why_proc_lacks_us", lambda: "")
    monkeypatch.setattr(tracers, "why_not_every_process", lambda: "")
    monkeypatch.setattr(machine, "why_not_limits", lambda controller: "")
    write("proc/sys/kernel/pid_max", "32768")
    write("proc/cpuinfo", "flags\t: fpu")
    write("proc/pressure/io", "some avg10=0 avg60=0.00 total=1")
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


@pytest.mark.parametrize("content", ["not supported", "-1", "٣", "9" * 5000])
def test_a_count_that_is_no_number_is_not_known(
    root: Callable[[str, str], None], content: str
) -> None:
    root(f"{CPU}/cpu1/thermal_throttle/core_throttle_count", "0")
    assert "heat" not in states(machine.machine())
    root(f"{CPU}/cpu0/thermal_throttle/core_throttle_count", content)
    assert texts(machine.machine())["heat"].startswith("not known: ")


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


def test_what_is_not_visible_is_not_known(
    root: Callable[[str, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = {"frequency_governor": "sys", "turbo": "sys", "smt": "sys", "ftrace": "sys"}
    checks |= {"virtual_machine": "proc", "pressure": "proc"}

    def found() -> dict[str, Finding]:
        return {each.check: each for each in (*machine.machine(), *tracers.tracers())}

    root("sys/kernel/tracing/current_tracer", "nop")
    root("sys/kernel/tracing/events/enable", "0")
    before = found()
    assert {before[check].state for check in checks} == {State.OK}
    for folder in ("sys", "proc"):
        shutil.rmtree(tmp_path / folder)
        (tmp_path / folder).mkdir()
    after = found()
    for check, folder in checks.items():
        assert after[check].state is State.WARNING
        assert after[check].text.startswith(f"not known: /{folder} "), check
    monkeypatch.setattr(visible, "proc_is_mounted", lambda: False)
    assert found()["pressure"].text == f"not known: {NOT_MOUNTED}"


@pytest.mark.parametrize(
    ("mounts", "said"),
    [
        ("", "something else is mounted over {0} (umount {0})"),
        ("2 1 0:5 / {0} rw - tmpfs x rw\n", "tmpfs is mounted over {0} (umount {0})"),
        (
            "2 1 0:5 / {0} rw - tmpfs x rw\n3 2 0:6 /cpu {0} rw shared:1 - fuse.lxcfs lxcfs rw\n"
            "4 1 0:7 / {0}/other rw - tmpfs x rw\n",
            "fuse.lxcfs is mounted over {0}, as container managers do; ask outside of the container"
            " too",
        ),
    ],
)
def test_what_is_covered_in_sys_is_not_known(
    root: Callable[[str, str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mounts: str,
    said: str,
) -> None:
    covered = tmp_path / CPU
    monkeypatch.setattr(visible, "covered_part", lambda path: covered if path == covered else None)
    monkeypatch.setattr(visible, "MOUNTS", tmp_path / "mountinfo")
    (tmp_path / "mountinfo").write_text(mounts.format(covered))
    found = [*machine.machine()]
    said = f"not known: {said.format(covered)}"
    for check in ("frequency_governor", "turbo", "smt"):
        assert states(found)[check] is State.WARNING
        assert texts(found)[check] == said
    assert states(found)["virtual_machine"] is State.OK


def test_fuse_without_its_process_is_to_be_unmounted(
    root: Callable[[str, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the cause of a file of the kernel's that it covers says, too."""
    covered, real = tmp_path / CPU, Path.stat

    def stat(path: Path, **options: bool) -> os.stat_result:
        if path == covered:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return real(path, **options)

    monkeypatch.setattr(visible, "covered_part", lambda path: covered if path == covered else None)
    monkeypatch.setattr(visible, "MOUNTS", tmp_path / "mountinfo")
    (tmp_path / "mountinfo").write_text(f"3 2 0:6 / {covered} rw - fuse.lxcfs lxcfs rw\n")
    monkeypatch.setattr(Path, "stat", stat)
    said = visible.why_not_sys()
    assert said == f"fuse.lxcfs is mounted over {covered} (umount {covered})"


def test_that_there_is_no_pressure_is_not_known_without_its_files(
    root: Callable[[str, str], None], tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "proc/pressure")
    found = [*machine.machine()]
    assert states(found)["pressure"] is State.WARNING
    assert "not known: this kernel has no " in texts(found)["pressure"]


def test_a_quota_of_a_group_that_is_not_visible_is_not_known(
    root: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "groups", lambda controller: Groups(2, "/a", ()))
    assert states(machine.machine())["cpu_quota"] is State.OK
    monkeypatch.setattr(machine, "why_not_limits", lambda controller: "a reason")
    found = [*machine.machine()]
    assert states(found)["cpu_quota"] is State.WARNING
    assert texts(found)["cpu_quota"] == "not known: a reason"


# --- tracers


def test_why_this_process_is_not_visible(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(namespaces, "PROC", tmp_path)
    monkeypatch.setattr(visible, "PROC", tmp_path)
    assert visible.why_proc_lacks_us() == NOT_MOUNTED
    assert visible.why_not_proc() == NOT_MOUNTED
    (tmp_path / "self").symlink_to("7")
    assert visible.why_proc_lacks_us() == FOREIGN
    assert visible.why_not_proc() == visible.PROCESSES_ONLY
    (tmp_path / "7").mkdir()
    (tmp_path / "sys").mkdir()
    assert visible.why_proc_lacks_us() == visible.why_not_proc() == ""


def test_that_nobody_traces_is_not_known_where_not_every_process_is_visible(
    root: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert states(tracers.tracers())["other_tracers"] is State.OK
    monkeypatch.setattr(tracers, "why_not_every_process", lambda: "a reason")
    found = [*tracers.tracers()]
    assert states(found)["other_tracers"] is State.WARNING
    assert texts(found)["other_tracers"] == "not known: none is visible, but a reason"


def test_why_not_every_process_is_visible(
    root: Callable[[str, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace = tmp_path / "proc/self/ns/pid"
    root("proc/self/ns/pid", "")
    monkeypatch.setattr(visible, "INITIAL_PID_NAMESPACE", namespace.stat().st_ino)
    monkeypatch.setattr(visible, "effective_capabilities", lambda: 1 << 19)
    monkeypatch.setattr(visible, "in_user_namespace", lambda: False)
    assert visible.why_not_every_process() == ""
    monkeypatch.setattr(visible, "INITIAL_PID_NAMESPACE", 0)
    assert visible.why_not_every_process() == visible.NAMESPACE
    monkeypatch.setattr(visible, "in_user_namespace", lambda: True)
    assert visible.why_not_every_process() == visible.NO_RIGHT
    monkeypatch.setattr(visible, "in_user_namespace", lambda: False)
    monkeypatch.setattr(visible, "effective_capabilities", lambda: 0)
    assert visible.why_not_every_process() == visible.NO_RIGHT
    monkeypatch.setattr(visible, "why_proc_lacks_us", lambda: NOT_MOUNTED)
    assert visible.why_not_every_process() == NOT_MOUNTED


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
        ("anon_inode:bpf_link", "link_type:\ttracing\n", "cba-supervisor", "the end of its run"),
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
        (None, None, State.WARNING, "not known: tracefs is not mounted"),
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


def test_a_slow_clock_is_exchanged_for_another_one(
    root: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_reading_ns", lambda: machine.SLOW_CLOCK_NS + 1)
    source = "sys/devices/system/clocksource/clocksource0"
    root(f"{source}/current_clocksource", "acpi_pm\n")
    root(f"{source}/available_clocksource", "hpet acpi_pm\n")
    assert texts(machine.machine())["clock"].endswith("slow; this kernel has no faster one here")
    root(f"{source}/available_clocksource", "kvm-clock tsc hpet acpi_pm \n")
    cure = "slow; boot with clocksource=kvm-clock or clocksource=tsc"
    assert texts(machine.machine())["clock"].endswith(cure)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("cpu.max", "50000 100000\n", "(50000 of each 100000 µs)"),
        ("cpu.cfs_quota_us", "50000\n", "(50000 µs)"),
        ("cpu.max", "some words\n", "not known: "),
    ],
)
def test_a_quota_is_said_with_its_period_if_that_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str, said: str
) -> None:
    (tmp_path / name).write_text(content)
    monkeypatch.setattr(machine, "groups", lambda controller: Groups(2, "/", (tmp_path,)))
    assert said in texts(machine.machine())["cpu_quota"]
