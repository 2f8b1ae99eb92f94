"""The package: wheel and sdist have its C files and headers, and what is installed collects."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from fakes.processes import launched
from fakes.wheels import BUILT_FROM

from agent.client.interpreter import Invocation
from agent.sections.probes import DEFAULT_SECTIONS

ROOT = Path(__file__).parents[2]
OFFLINE = ("--no-index", "--no-deps", "--quiet", "--disable-pip-version-check")


def pip(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "pip", *map(str, arguments), *OFFLINE], check=True)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources: a build leaves folders next to them."""
    source = tmp_path_factory.mktemp("source")
    for name in BUILT_FROM:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source)
    return source


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Path:
    return built_wheel(source, tmp_path_factory.mktemp("wheel"))


def built_wheel(source: Path, out: Path) -> Path:
    """Return the wheel built from a folder or an sdist."""
    pip("wheel", "--no-build-isolation", "--wheel-dir", out, source)
    [built] = out.iterdir()
    return built


def files_of(folder: Path) -> set[str]:
    paths = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {str(path.relative_to(folder)) for path in paths}


def test_it_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    [command] = {name for name in names if name.endswith(".data/scripts/chainbench-agent")}
    assert names - {command} == {f"agent/{name}" for name in files_of(ROOT / "agent")}
    assert {name for name in names if name.endswith(".h")}
    assert {name for name in names if name.endswith(".c")}


def test_it_brings_its_licences(wheel: Path) -> None:
    names = {Path(name).name for name in zipfile.ZipFile(wheel).namelist() if "licenses/" in name}
    assert names == {"LICENSE", "GPL-2.0-only.txt"}


@pytest.mark.thorough
def test_a_wheel_made_of_the_sdist_is_the_same(wheel: Path, source: Path, tmp_path: Path) -> None:
    """The sdist lacks nothing of what the package is built from."""
    build = "import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])"
    command = [sys.executable, "-c", build, str(tmp_path / "sdist")]
    subprocess.run(command, check=True, cwd=source, stdout=subprocess.DEVNULL)
    [sdist] = (tmp_path / "sdist").iterdir()
    again = built_wheel(sdist, tmp_path / "wheel")
    assert contents(again) == contents(wheel)


def contents(wheel: Path) -> dict[str, bytes]:
    """Return the files of a wheel, apart from the list of their checksums."""
    archive = zipfile.ZipFile(wheel)
    return {n: archive.read(n) for n in archive.namelist() if not n.endswith("/RECORD")}


@pytest.mark.thorough
def test_installed_on_its_own_it_collects(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "installed"
    pip("install", "--target", target, wheel)
    installed = {"PYTHONPATH": str(target)}
    look = [sys.executable, "-P", "-c", "import agent; print(agent.__file__)"]
    found = subprocess.check_output(look, env=os.environ | installed, cwd=tmp_path, text=True)
    assert Path(found.strip()).is_relative_to(target)
    script = Invocation(
        (sys.executable, str(target / "bin" / "chainbench-agent")), os.environ | installed
    )
    with launched(tmp_path / "log", invocation=script) as agent:
        with agent.run() as run:
            pass
        assert run.started["armed"] == list(DEFAULT_SECTIONS)
        assert run.evidence["runqlat"]["count"] > 0
