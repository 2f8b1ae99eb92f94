"""Why the kernel refused: the errno, and what else is known, make the cause. No guesses."""

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.confined import Confinement

from agent.streams.shared import bpf, confinement, kernel_files, privileges, refusals
from agent.streams.shared.causes import CannotCollect
from agent.streams.shared.machines import MACHINES
from agent.streams.shared.refusals import check_call, in_short, not_loaded, refused


@pytest.fixture
def confined(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Confinement:
    return Confinement(monkeypatch, tmp_path)


def error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("number", "code", "cure"),
    [
        (errno.EMFILE, "too_many_files", "ulimit -n"),
        (errno.ENFILE, "too_many_files", "fs.file-max"),
        (errno.ENOMEM, "out_of_memory", "MiB"),
        (errno.EINVAL, "kernel_too_old", "Linux 5.8"),
        (errno.ENOSYS, "no_bpf", "CONFIG_BPF_SYSCALL"),
        (errno.EBUSY, "kernel_refused", "cannot tell why"),
        (errno.EPERM, "kernel_refused", "cannot tell what forbids it"),
        (errno.EACCES, "kernel_refused", "cannot tell what forbids it"),
    ],
)
def test_each_errno_has_its_cause(confined: Confinement, number: int, code: str, cure: str) -> None:
    cause = refused("creating maps", error(number))
    assert cause.code == code
    assert f"creating maps: {os.strerror(number)}" in cause.message
    assert cure in cause.message
    for word in ("lockdown", "seccomp="):
        assert word not in cause.message, "nothing of the kind is in force"


def test_without_the_capabilities_nothing_else_is_to_blame(
    confined: Confinement, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privileges, "effective_capabilities", lambda: 0)
    cause = refused("creating maps", error(errno.EPERM))
    assert cause.code == "no_capability"
    assert "creating maps: Operation not permitted" in cause.message


def test_a_limit_is_named_with_its_value(confined: Confinement) -> None:
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert f"may open {allowed} " in refused("it", error(errno.EMFILE)).message
    assert f"may open {allowed} " in in_short(error(errno.EMFILE))
    assert in_short(error(errno.EBUSY)) == os.strerror(errno.EBUSY)


# --- EPERM


def test_a_filter_is_named_where_calls_do_not_get_past_it(confined: Confinement) -> None:
    confined.filtered()
    confined.profile.write_text("docker-default (enforce)\n")
    confined.calls_fail_with(errno.EPERM)
    message = refused("it", error(errno.EPERM)).message
    assert "--security-opt seccomp=unconfined" in message
    assert "docker-default" not in message


def test_a_profile_is_named_where_calls_reach_the_kernel(confined: Confinement) -> None:
    confined.filtered()
    confined.profile.write_text("docker-default (enforce)\n\0")
    message = refused("it", error(errno.EACCES)).message
    assert "confines this process as docker-default (enforce)" in message
    assert "seccomp" not in message


@pytest.mark.parametrize(
    "profile",
    [
        "unconfined\n",
        "kernel\n",
        "firefox (complain)\n",
        "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023\0",
        "",
    ],
)
def test_what_does_not_confine_is_not_named(confined: Confinement, profile: str) -> None:
    confined.profile.write_text(profile)
    assert "cannot tell what forbids it" in refused("it", error(errno.EPERM)).message


def test_a_filter_of_some_commands_is_named_if_nothing_else_confines(confined: Confinement) -> None:
    confined.filtered()
    assert "seccomp=unconfined" in refused("it", error(errno.EPERM)).message


def test_the_capabilities_of_a_user_namespace_are_named_first(confined: Confinement) -> None:
    confined.in_user_namespace(True)
    confined.filtered()
    cause = refused("creating maps", error(errno.EPERM))
    assert cause.code == "user_namespace"
    assert "rootless container" in cause.message


def test_locked_memory_is_named_on_a_kernel_that_counts_maps_as_such(
    confined: Confinement, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before 5.11, bpf_charge_memlock() fails with EPERM."""

    def create_map(name: str, map_type: int, **sizes: int) -> int:
        if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == 0:
            raise error(errno.EPERM)
        return os.memfd_create(name)

    monkeypatch.setattr(bpf, "create_map", create_map)
    before = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    cause = refused("creating maps", error(errno.EPERM))
    assert cause.code == "locked_memory"
    assert "ulimit -l unlimited" in cause.message
    assert resource.getrlimit(resource.RLIMIT_MEMLOCK) == before


def test_locked_memory_is_named_also_once_nothing_of_it_is_left(
    confined: Confinement, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent looks before it creates its maps, which may take all of it."""
    left = [True]

    def create_map(name: str, map_type: int, **sizes: int) -> int:
        if not left[0] or resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == 0:
            raise error(errno.EPERM)
        return os.memfd_create(name)

    monkeypatch.setattr(bpf, "create_map", create_map)
    assert confinement.limits_locked_memory()
    left[0] = False
    assert refused("creating maps", error(errno.EPERM)).code == "locked_memory"


def test_locked_memory_is_not_blamed_for_what_is_forbidden_altogether(
    confined: Confinement,
) -> None:
    confined.maps_fail_with(errno.EPERM)
    assert confinement.limits_locked_memory() is None
    assert refused("creating maps", error(errno.EPERM)).code == "kernel_refused"


# --- programs


@pytest.mark.parametrize(
    ("number", "code"), [(errno.EMFILE, "too_many_files"), (errno.ENOMEM, "out_of_memory")]
)
def test_a_program_that_passed_the_verifier_was_not_rejected_by_it(
    confined: Confinement, number: int, code: str
) -> None:
    failure = bpf.LoadFailed(error(number), "processed 32 insns (limit 1000000)")
    assert not_loaded("sched_switch", failure).code == code


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EACCES, errno.EPERM])
def test_what_the_verifier_rejects_comes_with_its_log(confined: Confinement, number: int) -> None:
    cause = not_loaded("sched_switch", bpf.LoadFailed(error(number), "R1 unbounded memory access"))
    assert cause.code == "load_failed"
    assert "R1 unbounded memory access" in cause.message


@pytest.mark.parametrize(
    ("number", "code"), [(errno.EPERM, "kernel_refused"), (errno.EINVAL, "kernel_too_old")]
)
def test_without_a_log_the_verifier_has_rejected_nothing(
    confined: Confinement, number: int, code: str
) -> None:
    confined.filtered()
    confined.calls_fail_with(errno.EPERM)
    cause = not_loaded("sched_switch", bpf.LoadFailed(error(number), ""))
    assert cause.code == code
    assert "loading the program for sched_switch" in cause.message
    assert ("seccomp" in cause.message) is (number == errno.EPERM)


@pytest.mark.parametrize(
    ("mode", "log", "named"),
    [
        ("none integrity [confidentiality]\n", "unknown func bpf_probe_read_kernel#113", True),
        (
            "none integrity [confidentiality]\n",
            "program of this type cannot use helper bpf_probe_read_kernel#113",
            True,
        ),
        ("[none] integrity confidentiality\n", "unknown func bpf_probe_read_kernel#113", False),
        ("none integrity [confidentiality]\n", "R1 unbounded memory access", False),
    ],
)
def test_lockdown_is_named_for_the_helper_that_it_forbids(
    confined: Confinement, mode: str, log: str, named: bool
) -> None:
    confined.lockdown.write_text(mode)
    cause = not_loaded("sched_switch", bpf.LoadFailed(error(errno.EINVAL), log))
    assert cause.code == ("kernel_refused" if named else "load_failed")
    assert ("kernel lockdown is confidentiality" in cause.message) is named


# --- bpf(2) itself


def test_the_command_that_does_not_exist_says_nothing_about_more_arguments() -> None:
    """From bit 16 on are flags: Linux 7.3 took one for a fourth argument, and answered E2BIG."""
    assert bpf.NO_COMMAND < 1 << 16


def test_a_call_that_reaches_the_kernel_is_available(confined: Confinement) -> None:
    check_call()


def test_a_call_that_a_filter_hides_is_not(confined: Confinement) -> None:
    confined.filtered()
    confined.calls_fail_with(errno.ENOSYS)
    with pytest.raises(CannotCollect, match="seccomp") as raised:
        check_call()
    assert raised.value.code == "no_bpf"


def test_a_machine_without_a_known_number_is_named(
    confined: Confinement, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "this_machine", lambda: None)
    cause = refused("calling bpf(2)", OSError(errno.ENOSYS, "no known bpf(2) number on m68k"))
    assert cause.code == "no_bpf"
    assert "m68k" in cause.message
    assert all(machine in cause.message for machine in MACHINES)


# --- files


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/proc/sys/kernel/none", "no_procfs"),
        ("/sys/devices/none", "no_sysfs"),
        (str(kernel_files.BTF), "no_btf"),
    ],
)
@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES])
def test_a_file_is_named(path: str, code: str, number: int) -> None:
    cause = refused("arm", OSError(number, os.strerror(number), path))
    assert cause.code == code
    assert f"{path}: {os.strerror(number)}" in cause.message
    assert "something else is mounted over" not in cause.message


def test_what_may_not_be_read_is_not_missing() -> None:
    error = PermissionError(errno.EACCES, "Permission denied", str(kernel_files.PID_MAX))
    assert refused("arm", error).message.endswith("Let the agent read it, as it may by default.")
    error = FileNotFoundError(errno.ENOENT, "No such file", str(kernel_files.PID_MAX))
    assert "Mount /proc, or, " in refused("arm", error).message


@pytest.fixture
def sys_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of /sys, in which another file system is mounted over ``devices``."""
    monkeypatch.setattr(kernel_files, "SYS", tmp_path)
    (tmp_path / "devices/system").mkdir(parents=True)
    (tmp_path / "kernel").mkdir()
    real = Path.stat

    def stat(path: Path, **options: bool) -> os.stat_result:
        found = real(path, **options)
        inside = path.is_relative_to(tmp_path / "devices")
        return os.stat_result([*found[:2], found.st_dev + inside, *found[3:]])

    monkeypatch.setattr(Path, "stat", stat)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "covered"),
    [
        ("devices/system", "devices"),
        ("devices/system/none/none", "devices"),
        ("devices/none", "devices"),
        ("kernel/none", None),
        ("none", None),
        ("", None),
        ("/elsewhere/none", None),
    ],
)
def test_the_part_that_is_covered_is_where_the_other_is_mounted(
    sys_folder: Path, path: str, covered: str | None
) -> None:
    found = kernel_files.covered_part(sys_folder / path)
    assert found == (None if covered is None else sys_folder / covered)


def test_a_file_system_whose_process_has_ended_is_one_that_covers(
    sys_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FUSE refuses stat(2) then: a container's lxcfs that was restarted, for one."""
    inner, other = sys_folder / "kernel/other", Path.stat

    def stat(path: Path, **options: bool) -> os.stat_result:
        if path.is_relative_to(inner):
            raise error(errno.ENOTCONN)
        return other(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    assert kernel_files.covered_part(inner / "cpu/possible") == inner


@pytest.mark.parametrize("content", ["", "none\n"])
def test_a_file_in_a_folder_that_is_covered_is_no_mount_point(
    sys_folder: Path, content: str
) -> None:
    file = sys_folder / "devices/system/possible"
    file.write_text(content)
    with pytest.raises(CannotCollect) as raised:
        kernel_files.content(file)
    covered = sys_folder / "devices"
    assert f": something else is mounted over {covered}. " in raised.value.message
    assert f": umount {covered}, or " in raised.value.message


def test_a_file_for_which_there_is_no_descriptor_is_not_missing() -> None:
    number = errno.EMFILE
    cause = refused("arm", OSError(number, os.strerror(number), "/proc/stat"))
    assert cause.code == "too_many_files"


@pytest.mark.parametrize(
    ("read", "content"), [(kernel_files.content, b"7\n"), (kernel_files.check_btf, b"\x9f\xeb\1\0")]
)
def test_a_file_that_is_mounted_over_is_not_missing(
    tmp_path: Path, read: Callable[[Path], object], content: bytes
) -> None:
    masked = tmp_path / "pid_max"
    masked.write_text("")
    with pytest.raises(CannotCollect, match="mounted over it"):
        read(masked)
    with pytest.raises(CannotCollect, match="No such file"):
        read(tmp_path / "none")
    masked.write_bytes(b"\x89\xff")
    with pytest.raises(CannotCollect, match="mounted over it"):
        read(masked)
    masked.write_bytes(content)
    read(masked)


@pytest.mark.parametrize("other", [b"\x89\xff", b"seven\n", b"7 8\n", b"\n7-\n"])
def test_a_file_that_holds_something_else_is_mounted_over(tmp_path: Path, other: bytes) -> None:
    masked = tmp_path / "pid_max"
    masked.write_bytes(other)
    with pytest.raises(CannotCollect, match="holds no numbers: something else is mounted over it"):
        kernel_files.content(masked)
    for numbers in ("7\n", "0-3,6\n", "0"):
        masked.write_text(numbers)
        assert kernel_files.content(masked) == numbers
