"""A unit file, and its restrictions without systemd: by mounts, setpriv, prlimit and filters.

What of them cannot be had like that is listed in `NOT_IMITATED`. A setting that is in no list fails
the test: whoever adds one decides whether it can be imitated.
"""

import os
import socket
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from agent.client.interpreter import Invocation

Settings = dict[str, list[str]]

IMITATED = {
    *("AmbientCapabilities", "CapabilityBoundingSet", "NoNewPrivileges", "UMask"),
    *("LimitNOFILE", "LimitMEMLOCK", "StateDirectory", "StateDirectoryMode", "RuntimeDirectory"),
    *("ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectKernelModules"),
    *("ProtectKernelTunables", "ProtectKernelLogs", "ProtectControlGroups"),
    *("SystemCallFilter", "SystemCallErrorNumber", "RestrictAddressFamilies"),
    *("MemoryDenyWriteExecute", "RestrictNamespaces", "LockPersonality", "RestrictRealtime"),
}
NOT_IMITATED = {
    # by the kernel's control groups and keyrings, or by filters that look into arguments
    *("CPUWeight", "DevicePolicy", "IPAddressDeny", "IPAddressAllow", "KeyringMode", "RemoveIPC"),
    *("RestrictSUIDSGID", "SystemCallArchitectures", "ProtectClock", "ProtectHostname"),
    # the defaults
    *("ProcSubset", "ProtectProc"),
}
ABOUT_THE_START = {
    *("Type", "ExecStart", "User", "Group", "Environment", "EnvironmentFile", "Restart"),
    *("TimeoutStartSec", "TimeoutStopSec", "NotifyAccess", "WatchdogSec", "OOMPolicy"),
    *("RuntimeDirectoryPreserve", "ExecReload", "StandardError", "FileDescriptorStoreMax"),
}

SOMEBODY = 64_322
"""The uid that stands for the unit's user."""
INSTALLED = "/opt/installed"
"""Where the agent's environment is seen: the checkout may be in somebody's home."""

REALTIME = {"sched_setscheduler", "sched_setattr", "sched_setparam"}
NAMESPACES = {"unshare", "setns"}


def settings(unit: Path, section: str) -> Settings:
    """Return the settings of a section, each with its values in order."""
    found: Settings = defaultdict(list)
    current = ""
    for line in unit.read_text().splitlines():
        if line.startswith("["):
            current = line.strip("[]")
        elif current == section and line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            found[name.strip()].append(value.strip())
    return found


def calls(service: Settings) -> set[str]:
    """Return the system calls that a service may make, by the order of its filters."""
    allowed = set[str]()
    for line in service["SystemCallFilter"]:
        names = {name for entry in line.lstrip("~").split() for name in expanded(entry)}
        allowed = allowed - names if line.startswith("~") else allowed | names
    if service.get("RestrictNamespaces") == ["yes"]:
        allowed -= NAMESPACES
    if service.get("LockPersonality") == ["yes"]:
        allowed -= {"personality"}
    if service.get("RestrictRealtime") == ["yes"]:
        allowed -= REALTIME
    return allowed


def expanded(entry: str) -> set[str]:
    """Return the system calls of an entry: its own name, or those of a group."""
    if not entry.startswith("@"):
        return {entry}
    listed = subprocess.run(
        ["systemd-analyze", "--no-pager", "syscall-filter", entry],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.strip() for line in listed.stdout.splitlines()[1:]]
    names = [line for line in lines if line and not line.startswith("#")]
    return {call for name in names for call in expanded(name)}


def prefix(service: Settings) -> list[str]:
    """Return a command that runs another one as the service would. Needs root."""
    unknown = set(service) - IMITATED - NOT_IMITATED - ABOUT_THE_START
    assert not unknown, f"decide whether these can be imitated: {sorted(unknown)}"
    families = ",".join(
        str(int(getattr(socket, name))) for name in service["RestrictAddressFamilies"][0].split()
    )
    python = f"{INSTALLED}/{Path(sys.executable).relative_to(sys.prefix)}"
    confine = Path(__file__).parents[1] / "kernel/programs/confine.py"
    return [
        *("unshare", "--mount", "sh", "-ec", _mounts(service, confine), "sh"),
        *_limits(service),
        *_privileges(service),
        *(python, "-I", "/opt/confine.py", ",".join(sorted(calls(service))), families),
    ]


def _limits(service: Settings) -> list[str]:
    """Return what sets the limits. One that is lifted stays: that takes CAP_SYS_RESOURCE."""
    values = {name: value[0] for name, value in service.items() if name.startswith("Limit")}
    options = {
        f"--{name.removeprefix('Limit').lower()}={value}"
        for name, value in values.items()
        if value != "infinity"
    }
    return ["prlimit", *sorted(options)]


def _privileges(service: Settings) -> list[str]:
    def plus(names: Sequence[str]) -> str:
        return ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in names)

    ambient, bounding = (
        " ".join(service[name]).split() for name in ("AmbientCapabilities", "CapabilityBoundingSet")
    )
    return [
        "setpriv",
        *(f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups", "--no-new-privs"),
        *(f"--bounding-set=-all,{plus(bounding)}", f"--inh-caps=-all,{plus(ambient)}"),
        f"--ambient-caps=-all,{plus(ambient)}",
    ]


def _mounts(service: Settings, confine: Path) -> str:
    """Return the script that makes the mounts and then runs its arguments."""
    on = {name for name, values in service.items() if values[-1] in ("yes", "strict")}
    parts = [
        "mount --make-rprivate /",
        "mkdir -p /opt && mount -t tmpfs -o mode=755 none /opt",
        f"mkdir {INSTALLED} && mount --bind {sys.prefix} {INSTALLED}",
        f"cp {confine} /opt/confine.py && chmod 644 /opt/confine.py",
        f"umask {service['UMask'][0]}" if "UMask" in service else "true",
        "mount -t tmpfs -o mode=755 none /run",
        "mount -t tmpfs -o mode=755 none /var/lib",
        "touch /run/hidden && chmod 0 /run/hidden",
        *(_made(f"/var/lib/{name}", "700") for name in service["StateDirectory"]),
        *(_made(f"/run/{name}", "755") for name in service["RuntimeDirectory"]),
    ]
    if "ProtectHome" in on:
        parts += [_hidden(path) for path in ("/home", "/root")]
    if "PrivateTmp" in on:
        parts += [f"mount -t tmpfs -o mode=1777 none {path}" for path in ("/tmp", "/var/tmp")]
    if "ProtectKernelModules" in on:
        parts.append(_hidden("/usr/lib/modules"))
    if "PrivateDevices" in on:
        parts.append(PRIVATE_DEVICES)
    if "ProtectKernelTunables" in on:
        parts.append(READ_ONLY_TUNABLES)
    if "ProtectKernelLogs" in on:
        parts.append("mount --bind /run/hidden /proc/kmsg")
    if "ProtectSystem" in on:
        parts.append(READ_ONLY_SYSTEM)
    return "; ".join([*parts, 'cd /; exec "$@"'])


def _made(path: str, mode: str) -> str:
    """Return what makes a folder of the service, on a file system of its own."""
    options = f"mode={mode},uid={SOMEBODY},gid={SOMEBODY}"
    return f"mkdir -p {path} && mount -t tmpfs -o {options} none {path}"


def _hidden(path: str) -> str:
    return f"if [ -d {path} ]; then mount -t tmpfs -o mode=000,ro none {path}; fi"


PRIVATE_DEVICES = (
    "mkdir /run/dev; mount -t tmpfs -o mode=755,nosuid,noexec none /run/dev; "
    "for name in null zero full random urandom tty; do touch /run/dev/$name; "
    "mount --bind /dev/$name /run/dev/$name; done; "
    "mkdir /run/dev/shm; mount -t tmpfs -o mode=1777 none /run/dev/shm; mount --move /run/dev /dev"
)
READ_ONLY_TUNABLES = (
    "for path in $(awk '$5 ~ \"^/sys\" {print $5}' /proc/self/mountinfo); do "
    "mount -o remount,bind,ro $path; done; "
    "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys; "
    "for path in kallsyms kcore; do "
    "if [ -e /proc/$path ]; then mount --bind /run/hidden /proc/$path; fi; done"
)
READ_ONLY_SYSTEM = (
    "for path in $(awk '$5 !~ \"^/(dev|proc|sys|tmp|var/tmp|run/.+|var/lib/.+)\" {print $5}' "
    "/proc/self/mountinfo); do mount -o remount,bind,ro $path; done"
)


def installed() -> Invocation:
    """Return the agent as the service sees it."""
    python = f"{INSTALLED}/{Path(sys.executable).relative_to(sys.prefix)}"
    return Invocation((python, "-I", "-m", "agent"), dict(os.environ))
