"""The container: four capabilities of root's are enough, with what an engine mounts read-only."""

import itertools
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from fakes.mounts import mounting
from fakes.pages import DOCS, ROOT
from fakes.processes import launched, status_field
from fakes.wheels import BUILT_FROM

from agent.client.interpreter import own_module
from agent.sections.probes import DEFAULT_SECTIONS

CONTAINERFILE = ROOT / "deploy/Containerfile"
READ_ONLY = (
    "mount --make-rprivate /; mount -t tmpfs none /run; "
    # engines show these read-only, and the rest with --read-only
    "for path in $(awk '$5 ~ \"^/sys\" {print $5}' /proc/self/mountinfo); do "
    "mount -o remount,bind,ro $path; done; "
    "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys; "
    "mount -o remount,bind,ro /"
)


def run_options() -> list[str]:
    """Return the words of the command with which the file says to run it."""
    comment = re.sub(r"\\?\n# *", " ", CONTAINERFILE.read_text().split("\n\nFROM")[0])
    return shlex.split(comment[comment.index("podman run") :])


def capabilities() -> list[str]:
    words = run_options()
    return [word for before, word in itertools.pairwise(words) if before == "--cap-add"]


def test_the_page_says_the_same_command() -> None:
    page = re.sub(r"\\\n\s*", "", (DOCS / "how-to/service.md").read_text())
    assert " ".join(run_options()) in " ".join(page.split())


def test_it_copies_what_the_package_is_built_from() -> None:
    copied = {
        word
        for line in CONTAINERFILE.read_text().splitlines()
        if line.startswith("COPY ")
        for word in line.split()[1:-1]
    }
    assert copied == set(BUILT_FROM)


@pytest.mark.thorough
def test_with_its_capabilities_it_collects(tmp_path: Path) -> None:
    bounding = ",".join(f"+{name}" for name in capabilities())
    before = [
        *mounting(READ_ONLY),
        *("setpriv", f"--bounding-set=-all,{bounding}", "--inh-caps=-all", "--no-new-privs"),
    ]
    with launched(tmp_path / "log", before=before) as agent:
        assert int(status_field(agent.supervisor, "CapEff"), 16).bit_count() == 4
        with agent.run() as run:
            subprocess.run(["true"], check=True)
        assert run.started["armed"] == list(DEFAULT_SECTIONS)
        assert run.evidence["completeness"]["verdict"] == "complete"


@pytest.mark.thorough
@pytest.mark.parametrize("missing", ["bpf", "perfmon", "setuid", "setgid"])
def test_each_of_them_is_needed(tmp_path: Path, missing: str) -> None:
    left = ",".join(f"+{name}" for name in capabilities() if name != missing)
    command = [
        *("setpriv", f"--bounding-set=-all,{left}", "--inh-caps=-all", "--no-new-privs"),
        *own_module("agent", "doctor", "--port", "0").command,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "failed" in done.stdout
