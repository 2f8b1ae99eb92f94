"""The bpf(2) commands that the agent needs. Standard library only.

bcc only compiles. It is not used to load or attach, because that would keep it (and LLVM's 100 MB)
in the process that holds the programs, and because it cannot load BTF-typed raw tracepoints.
The structures follow ``union bpf_attr`` in include/uapi/linux/bpf.h.
"""

import ctypes
import errno
import os
import platform
from typing import Optional

from agent import small_files
from agent.streams.shared.machines import this_machine

MAP_CREATE, MAP_LOOKUP_ELEM, MAP_UPDATE_ELEM, MAP_DELETE_ELEM, PROG_LOAD = 0, 1, 2, 3, 5
OBJ_GET_INFO_BY_FD, RAW_TRACEPOINT_OPEN, BTF_LOAD = 15, 17, 18
LINK_CREATE, ENABLE_STATS, ITER_CREATE = 28, 32, 33
NO_COMMAND = (1 << 16) - 1
"""Below BPF_COMMON_ATTRS, a flag of newer kernels, which stands for further arguments."""

MAP_TYPE_ARRAY, MAP_TYPE_PERF_EVENT_ARRAY, MAP_TYPE_STACK_TRACE, MAP_TYPE_RINGBUF = 2, 4, 7, 27
MAP_FLAG_MMAPABLE = 1 << 10

PROG_TYPE_SOCKET_FILTER, PROG_TYPE_TRACING = 1, 26
ATTACH_TRACE_RAW_TP, ATTACH_TRACE_ITER = 23, 28

_libc = ctypes.CDLL(None, use_errno=True)


class MapCreate(ctypes.Structure):
    _fields_ = [
        ("map_type", ctypes.c_uint32),
        ("key_size", ctypes.c_uint32),
        ("value_size", ctypes.c_uint32),
        ("max_entries", ctypes.c_uint32),
        ("map_flags", ctypes.c_uint32),
        ("inner_map_fd", ctypes.c_uint32),
        ("numa_node", ctypes.c_uint32),
        ("map_name", ctypes.c_char * 16),
        ("map_ifindex", ctypes.c_uint32),
        ("btf_fd", ctypes.c_uint32),
        ("btf_key_type_id", ctypes.c_uint32),
        ("btf_value_type_id", ctypes.c_uint32),
        ("rest", ctypes.c_uint32 * 4),
    ]


class MapElement(ctypes.Structure):
    _fields_ = [
        ("map_fd", ctypes.c_uint32),
        ("padding", ctypes.c_uint32),
        ("key", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
    ]


class ProgLoad(ctypes.Structure):
    _fields_ = [
        ("prog_type", ctypes.c_uint32),
        ("insn_cnt", ctypes.c_uint32),
        ("insns", ctypes.c_uint64),
        ("license", ctypes.c_uint64),
        ("log_level", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log_buf", ctypes.c_uint64),
        ("kern_version", ctypes.c_uint32),
        ("prog_flags", ctypes.c_uint32),
        ("prog_name", ctypes.c_char * 16),
        ("prog_ifindex", ctypes.c_uint32),
        ("expected_attach_type", ctypes.c_uint32),
        ("prog_btf_fd", ctypes.c_uint32),
        ("func_info_rec_size", ctypes.c_uint32),
        ("func_info", ctypes.c_uint64),
        ("func_info_cnt", ctypes.c_uint32),
        ("line_info_rec_size", ctypes.c_uint32),
        ("line_info", ctypes.c_uint64),
        ("line_info_cnt", ctypes.c_uint32),
        ("attach_btf_id", ctypes.c_uint32),
        ("attach_prog_fd", ctypes.c_uint32),
        ("rest", ctypes.c_uint32),
    ]


class BtfLoad(ctypes.Structure):
    _fields_ = [
        ("btf", ctypes.c_uint64),
        ("log", ctypes.c_uint64),
        ("size", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log_level", ctypes.c_uint32),
    ]


class RawTracepoint(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_uint64),
        ("prog_fd", ctypes.c_uint32),
        ("padding", ctypes.c_uint32),
        ("cookie", ctypes.c_uint64),
    ]


class LinkCreate(ctypes.Structure):
    _fields_ = [
        ("prog_fd", ctypes.c_uint32),
        ("target_fd", ctypes.c_uint32),
        ("attach_type", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("iter_info", ctypes.c_uint64),
        ("iter_info_len", ctypes.c_uint32),
        ("padding", ctypes.c_uint32),
        ("rest", ctypes.c_uint64 * 2),
    ]


class IterCreate(ctypes.Structure):
    _fields_ = [("link_fd", ctypes.c_uint32), ("flags", ctypes.c_uint32)]


class EnableStats(ctypes.Structure):
    _fields_ = [("type", ctypes.c_uint32)]


class InfoByFd(ctypes.Structure):
    _fields_ = [("fd", ctypes.c_uint32), ("size", ctypes.c_uint32), ("info", ctypes.c_uint64)]


class ProgInfo(ctypes.Structure):
    """``struct bpf_prog_info`` up to ``recursion_misses`` (5.12)."""

    _fields_ = [
        ("type", ctypes.c_uint32),
        ("id", ctypes.c_uint32),
        ("tag", ctypes.c_uint8 * 8),
        ("skipped", ctypes.c_uint32 * 44),
        ("run_time_ns", ctypes.c_uint64),
        ("run_cnt", ctypes.c_uint64),
        ("recursion_misses", ctypes.c_uint64),
        ("rest", ctypes.c_uint32 * 4),
    ]


def bpf(command: int, attr: ctypes.Structure) -> int:
    """Make one bpf(2) call and return its result. Raises OSError with the kernel's errno."""
    machine = this_machine()
    if machine is None:
        raise OSError(errno.ENOSYS, f"no known bpf(2) number on {platform.machine()}")
    result = int(_libc.syscall(machine.bpf, command, ctypes.byref(attr), ctypes.sizeof(attr)))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def unknown_command() -> int:
    """Make a call with a command that no kernel has. Raises OSError.

    EINVAL: the call has reached the kernel's own code, which no filter forbids.
    """
    return bpf(NO_COMMAND, EnableStats(0))


def create_map(
    name: str,
    map_type: int,
    *,
    key: int = 0,
    value: int = 0,
    entries: int = 1,
    flags: int = 0,
    types: tuple[int, int, int] = (0, 0, 0),
) -> int:
    """Create a map and return its fd (close-on-exec is set by the kernel).

    ``types``: the fd of a BTF object, and the ids in it of the key's and the value's type.
    """
    name_bytes = name.encode()[:15]
    return bpf(
        MAP_CREATE, MapCreate(map_type, key, value, entries, flags, 0, 0, name_bytes, 0, *types)
    )


def load_types(blob: bytes) -> int:
    """Load a BTF object and return its fd."""
    buffer = ctypes.create_string_buffer(blob, len(blob))
    return bpf(BTF_LOAD, BtfLoad(btf=ctypes.addressof(buffer), size=len(blob)))


def update_element(map_fd: int, key: int, value: bytes) -> None:
    """Set the element with a u32 key."""
    buffer = ctypes.create_string_buffer(value, len(value))
    update_from_address(map_fd, key, ctypes.addressof(buffer))


def update_from_address(map_fd: int, key: int, address: int) -> None:
    """Set the element with a u32 key from a full-size value in memory at ``address``."""
    key_buffer = ctypes.c_uint32(key)
    bpf(MAP_UPDATE_ELEM, MapElement(map_fd, 0, ctypes.addressof(key_buffer), address, 0))


def element(map_fd: int, key: int, size: int) -> bytes:
    """Return the value of the element with a u32 key. Raises OSError if there is none."""
    key_buffer, value = ctypes.c_uint32(key), ctypes.create_string_buffer(size)
    addresses = ctypes.addressof(key_buffer), ctypes.addressof(value)
    bpf(MAP_LOOKUP_ELEM, MapElement(map_fd, 0, *addresses, 0))
    return value.raw


def take_element(map_fd: int, key: int, size: int) -> Optional[bytes]:
    """Delete the element with a u32 key and return its value, or None if there is none."""
    key_buffer = ctypes.c_uint32(key)
    try:
        value = element(map_fd, key, size)
        bpf(MAP_DELETE_ELEM, MapElement(map_fd, 0, ctypes.addressof(key_buffer), 0, 0))
    except FileNotFoundError:
        return None
    return value


def map_bytes(map_fd: int) -> int:
    """Return a map's kernel memory in bytes, as its fdinfo reports it (bpf_map_show_fdinfo)."""
    lines = small_files.read(f"/proc/self/fdinfo/{map_fd}").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(b"memlock:")), 0)


class LoadFailed(Exception):
    """The kernel refused a program; ``log`` holds the verifier's last lines."""

    def __init__(self, error: OSError, log: str) -> None:
        super().__init__(f"{error.strerror}: {log}" if log else str(error.strerror))
        self.errno = error.errno
        self.log = log


FUNCTION_SIZE = 8
"""Size of ``struct bpf_func_info`` in bytes."""
LOG_LINES = 12
"""The last lines of a log, the verifier's or the compiler's, say what it refuses."""


def load_tracing(
    name: str,
    code: bytes,
    attach_type: int,
    btf_id: int,
    types_fd: int = 0,
    functions: bytes = b"",
) -> int:
    """Load a BPF_PROG_TYPE_TRACING program and return its fd. Raises LoadFailed.

    A program with several functions needs the BTF of their types and a ``struct bpf_func_info``
    for each.
    """
    instructions = ctypes.create_string_buffer(code, len(code))
    function_info = ctypes.create_string_buffer(functions, len(functions))
    license_text = ctypes.create_string_buffer(b"GPL")
    attr = ProgLoad(
        prog_type=PROG_TYPE_TRACING,
        insn_cnt=len(code) // 8,
        insns=ctypes.addressof(instructions),
        license=ctypes.addressof(license_text),
        prog_name=name.encode()[:15],
        expected_attach_type=attach_type,
        attach_btf_id=btf_id,
        prog_btf_fd=types_fd,
        func_info_rec_size=FUNCTION_SIZE if functions else 0,
        func_info=ctypes.addressof(function_info) if functions else 0,
        func_info_cnt=len(functions) // FUNCTION_SIZE,
    )
    try:
        return bpf(PROG_LOAD, attr)
    except OSError as error:
        # Request a log only now: writing it takes longer than the verification itself.
        log = ctypes.create_string_buffer(1 << 20)
        attr.log_level, attr.log_size, attr.log_buf = 1, len(log), ctypes.addressof(log)
        try:
            return bpf(PROG_LOAD, attr)
        except OSError:
            lines = log.value.decode(errors="replace").strip().splitlines()
            raise LoadFailed(error, "\n".join(lines[-LOG_LINES:])) from error


def load_filter(name: str, code: bytes) -> int:
    """Load a BPF_PROG_TYPE_SOCKET_FILTER program, which needs no BTF, and return its fd."""
    instructions = ctypes.create_string_buffer(code, len(code))
    license_text = ctypes.create_string_buffer(b"GPL")
    attr = ProgLoad(
        prog_type=PROG_TYPE_SOCKET_FILTER,
        insn_cnt=len(code) // 8,
        insns=ctypes.addressof(instructions),
        license=ctypes.addressof(license_text),
        prog_name=name.encode()[:15],
    )
    return bpf(PROG_LOAD, attr)


def attach_raw_tracepoint(prog_fd: int) -> int:
    """Attach a program to its BTF-typed raw tracepoint; closing the returned fd detaches it."""
    return bpf(RAW_TRACEPOINT_OPEN, RawTracepoint(prog_fd=prog_fd))


def run_iterator(prog_fd: int, tid: int = 0) -> bytes:
    """Run an iterator program once over all its objects and return what it wrote.

    ``tid``: visit only the task with this number in our pid namespace (``bpf_iter_link_info``,
    since 6.1; ignored by older kernels, which visit every task).
    """
    output = bytearray()
    only = ctypes.c_uint32(tid)
    attr = LinkCreate(prog_fd=prog_fd, attach_type=ATTACH_TRACE_ITER)
    if tid:
        attr.iter_info, attr.iter_info_len = ctypes.addressof(only), ctypes.sizeof(only)
    link = bpf(LINK_CREATE, attr)
    try:
        iterator = bpf(ITER_CREATE, IterCreate(link_fd=link))
        try:
            chunk = bytearray(1 << 16)
            # not read(), whose number is 0 on x86: a program may look for it (tasks.c)
            while length := os.readv(iterator, [chunk]):
                output += chunk[:length]
        finally:
            os.close(iterator)
    finally:
        os.close(link)
    return bytes(output)


def enable_run_time_stats() -> int:
    """Have the kernel time all BPF programs until the returned fd is closed (CAP_SYS_ADMIN)."""
    return bpf(ENABLE_STATS, EnableStats(0))


def program_info(prog_fd: int) -> ProgInfo:
    """Return the kernel's statistics of a program: runs, run time, recursion misses."""
    info = ProgInfo()
    bpf(OBJ_GET_INFO_BY_FD, InfoByFd(prog_fd, ctypes.sizeof(info), ctypes.addressof(info)))
    return info
