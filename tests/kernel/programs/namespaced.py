"""Run a command in namespaces of its own, and end when it does.

    namespaced.py pid COMMAND...             as process 1, with a /proc of its own
    namespaced.py foreign_proc COMMAND...    the same, but /proc remains that of the outer namespace
    namespaced.py time SECONDS COMMAND...    with its monotonic clocks ahead by so many seconds

SIGTERM is passed on. The command is killed if this process dies.
"""

import ctypes
import os
import signal
import sys

CLONE_NEWTIME, CLONE_NEWNS, CLONE_NEWPID = 0x80, 0x20000, 0x20000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def enter_pid():
    checked(LIBC.unshare(CLONE_NEWPID | CLONE_NEWNS))


def mount_proc():
    checked(LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
    checked(LIBC.mount(b"proc", b"/proc", b"proc", 0, None))


def enter_time(seconds):
    checked(LIBC.unshare(CLONE_NEWTIME))
    with open("/proc/self/timens_offsets", "w") as offsets:
        offsets.write(f"monotonic {seconds} 0\nboottime {seconds} 0\n")


def main():
    kind, *command = sys.argv[1:]
    if kind == "time":
        enter_time(int(command.pop(0)))
    else:
        enter_pid()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    child = os.fork()
    if child == 0:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        if kind == "pid":
            mount_proc()
        os.execv(command[0], command)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    _, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)


main()
