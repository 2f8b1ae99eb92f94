"""The packages that ``tools/setup`` asks for, by their names in each distribution."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"
NOTHING_INSTALLED = """
has() { false; }
. packages.sh
has_bcc() { false; }
find_missing
missing+=(python3-venv)
"""


def asked(target: str, what: str) -> list[str]:
    """Return what a line of shell prints where nothing that the target needs is installed."""
    done = subprocess.run(
        ["bash", "-euc", f"TARGET={target}\n{NOTHING_INSTALLED}\n{what}"],
        cwd=TOOLS,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


MISSING = 'echo "${missing[*]}"'


def of_debian() -> set[str]:
    return {
        name for target in ("run", "bench", "test", "kernels") for name in asked(target, MISSING)
    }


@pytest.mark.parametrize("script", ["setup", "packages.sh", "check-packages"])
def test_scripts_have_no_syntax_errors(script: str) -> None:
    done = subprocess.run(["bash", "-n", TOOLS / script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_to_run_only_bcc_and_venv_are_needed() -> None:
    assert {*asked("run", MISSING)} == {"python3-bpfcc", "python3-venv"}


def test_fedora_has_names_of_its_own() -> None:
    names = asked("bench", "names_on ON_FEDORA")
    assert {"python3-bcc", "perf", "realtime-tests", "glibc-devel", "python3"} <= {*names}
    assert not [name for name in names if name.endswith(("-bpfcc", "-dev", "-venv"))]


def test_ubuntus_tools_of_a_kernel_are_named_once() -> None:
    names = asked("test", "names_on ON_UBUNTU")
    assert names.count("linux-tools-common") == 1
    assert not {"linux-perf", "bpftool"} & {*names}


@pytest.mark.parametrize("table", ["ON_UBUNTU", "ON_FEDORA"])
def test_no_other_name_is_left_over(table: str) -> None:
    assert {*asked("run", f'echo "${{!{table}[*]}}"')} <= of_debian()


@pytest.mark.thorough
def test_this_distribution_has_them() -> None:
    """On Debian; on Ubuntu some have other names. ``tools/check-packages`` asks other archives."""
    release = Path("/etc/os-release")
    if not release.exists() or not re.search(r"^ID=debian$", release.read_text(), re.MULTILINE):
        pytest.skip("this is not Debian")
    if not shutil.which("apt-cache") or "python3-venv" not in known({"python3-venv"}):
        pytest.skip("there are no package lists: apt-get update")
    assert of_debian() - known(of_debian()) == set()


def known(names: set[str]) -> set[str]:
    """Return which of these packages apt could install, or has installed."""
    done = subprocess.run(
        ["apt-cache", "policy", *names], capture_output=True, text=True, check=False
    )
    found = re.findall(r"^(\S+):\n  Installed: .*\n  Candidate: (\S+)", done.stdout, re.MULTILINE)
    return {name for name, candidate in found if candidate != "(none)"}
