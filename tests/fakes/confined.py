"""What confines this process, as files that a test writes."""

import errno
import os
from pathlib import Path

import pytest

from agent.streams.shared import bpf, confinement, privileges


class Confinement:
    """A process that nothing confines, until a test changes that."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self._patch = patch
        self.status, self.profile = folder / "status", folder / "profile"
        self.lockdown, self.namespace = folder / "lockdown", folder / "namespace"
        self.namespace.touch()
        for name, path in {
            "STATUS": self.status,
            "PROFILE": self.profile,
            "LOCKDOWN": self.lockdown,
            "USER_NAMESPACE": self.namespace,
        }.items():
            patch.setattr(confinement, name, path)
        patch.setattr(confinement, "_found", {})
        self.bound()
        self.in_user_namespace(False)
        self.calls_fail_with(errno.EINVAL)
        self.maps_fail_with(0)

    def in_user_namespace(self, inside: bool) -> None:
        initial = self.namespace.stat().st_ino + inside
        self._patch.setattr(confinement, "INITIAL_USER_NAMESPACE", initial)

    def bound(self, *without: int, unknown: bool = False) -> None:
        """Have the bounding set be without these capabilities, or prctl(2) refuse to say."""

        def prctl(option: int, number: int) -> int:
            assert option == privileges.PR_CAPBSET_READ
            return -1 if unknown else int(number not in without)

        self._patch.setattr(privileges, "_prctl", prctl)

    def filtered(self) -> None:
        """Have a seccomp filter in force."""
        self.status.write_text("Name:\tagent\nSeccomp:\t2\n")

    def calls_fail_with(self, number: int) -> None:
        """Have bpf(2) calls with an unknown command fail with this errno; EINVAL: the kernel's."""

        def call() -> int:
            raise OSError(number, os.strerror(number))

        self._patch.setattr(bpf, "unknown_command", call)

    def maps_fail_with(self, number: int) -> None:
        """Have the creation of maps fail with this errno; 0: it succeeds."""

        def create_map(name: str, map_type: int, **sizes: int) -> int:
            if number:
                raise OSError(number, os.strerror(number))
            return os.memfd_create(name)

        self._patch.setattr(bpf, "create_map", create_map)
