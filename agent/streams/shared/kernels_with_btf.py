"""What to do about a kernel without BTF, or one that hides it. Standard library only, Python 3.9.

From when on a distribution's kernels have it: the README of libbpf
(github.com/libbpf/libbpf, "BPF CO-RE"). None was tried but Debian's.
"""

import os
from pathlib import Path
from typing import Optional

OPTION = b"CONFIG_DEBUG_INFO_BTF"
CONFIG = Path("/proc/config.gz")
BOOT = Path("/boot")
OS_RELEASE = (Path("/etc/os-release"), Path("/usr/lib/os-release"))

KERNELS = {
    "debian": "Debian's kernels have it since 11: apt-get install linux-image-{architecture}",
    "ubuntu": "Ubuntu's kernels have it since 20.10: apt-get install linux-generic",
    "fedora": "Fedora's kernels have it since Fedora 31: dnf upgrade kernel",
    "rhel": "the kernels of Red Hat Enterprise Linux have it since 8.2: dnf upgrade kernel",
    "arch": "Arch Linux's kernels have it since 5.7.1: pacman -Syu linux",
}
"""By ID in os-release(5); the first that fits of ID and ID_LIKE."""
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


HIDDEN = (
    "something hides the file: mount sysfs (mount -t sysfs sysfs /sys), and in a container mount "
    "nothing over it."
)
COVERED = "unmount what is mounted over the file, and in a container mount nothing over it."
UNPARSED = (
    "something else is mounted over the file (findmnt shows it), or libbpf is too old for this "
    "kernel: install a newer bcc."
)


def advice_on_missing() -> str:
    """Return what would help where there is no file, as a sentence; empty if not known."""
    return f"This kernel was built with it, so {HIDDEN}" if built_with_btf() else _other_kernel()


def advice_on_unusable(cure: str) -> str:
    """Return what would help where there is a file that is of no use; empty if not known.

    ``cure``: for a kernel that has BTF. Since the file exists, that is every kernel but one whose
    configuration says otherwise.
    """
    built = built_with_btf()
    if built is None:
        return f"{cure[0].upper()}{cure[1:]}"
    return f"This kernel was built with it, so {cure}" if built else _other_kernel()


def _other_kernel() -> str:
    """Return what would give this machine a kernel with BTF, as a sentence; empty if not known."""
    kernel = next((KERNELS[name] for name in _distribution() if name in KERNELS), None)
    if kernel is None:
        return ""
    machine = os.uname().machine
    named = kernel.format(architecture=ARCHITECTURES.get(machine, machine))
    return f"{named[0].upper()}{named[1:]}, then reboot (in a container: on its host)."


def built_with_btf() -> Optional[bool]:
    """Return whether the running kernel was built with BTF; None if its configuration is hidden."""
    for read in (_running_config, _boot_config):
        try:
            lines = read().splitlines()
        except (OSError, EOFError):
            continue
        return OPTION + b"=y" in lines
    return None


def _running_config() -> bytes:
    import gzip  # only where there is no BTF

    with gzip.open(CONFIG) as file:
        return file.read()


def _boot_config() -> bytes:
    return (BOOT / f"config-{os.uname().release}").read_bytes()


def _distribution() -> list[str]:
    """Return the distribution's name, and of those that it is like (os-release(5))."""
    for path in OS_RELEASE:
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        fields = dict(line.partition("=")[::2] for line in lines)
        names = f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}"
        return names.replace('"', "").replace("'", "").split()
    return []
