"""``doctor`` where a library is missing or damaged: one line says which, and what to install."""

import builtins
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agent.doctor import libraries
from agent.doctor.finding import Finding, State, warning
from agent.doctor.libraries import LIBRARIES, Library
from agent.settings import Settings

TOP = Path(__file__).parents[2]
NUMPYS = "\n\nIMPORTANT: PLEASE READ THIS\n\nOriginal error was: libx.so: cannot open\n"
Break = Callable[[str, Exception | None], None]


@pytest.fixture
def breaks(monkeypatch: pytest.MonkeyPatch) -> Break:
    """A function that has modules raise an error, or be what is left of a folder."""
    found: dict[str, Exception | None] = {}

    def import_module(name: str) -> ModuleType:
        top = name.partition(".")[0]
        if top not in found:
            return importlib.import_module(name)
        if (error := found[top]) is not None:
            raise error
        return ModuleType(name)

    monkeypatch.setattr(libraries, "import_module", import_module)
    return found.__setitem__


def test_they_are_those_that_an_installation_brings() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    brought = {re.split("[^a-z0-9-]", line, maxsplit=1)[0] for line in project["dependencies"]}
    assert {library.name for library in LIBRARIES} == brought


def test_each_that_the_agent_imports_is_needed() -> None:
    sources = [path.read_text() for path in (TOP / "agent").rglob("*.py")]
    for library in LIBRARIES:
        top = library.modules[0].partition(".")[0]
        imports = re.compile(rf"^\s*(?:from|import) {top}\b", re.MULTILINE)
        assert any(map(imports.search, sources)) == library.is_needed, library.name


def test_each_comes_after_those_that_it_imports() -> None:
    names = [library.name for library in LIBRARIES]
    for place, library in enumerate(LIBRARIES):
        assert library.imports <= {*names[:place]}


def test_what_is_there_has_one_line_with_versions() -> None:
    [found] = libraries.libraries()
    assert (found.check, found.state) == ("libraries", State.OK)
    assert f"trio {metadata.version('trio')}, " in found.text


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.name)
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ModuleNotFoundError("No module named 'x'"), "(ModuleNotFoundError: No module named 'x')"),
        (ImportError(NUMPYS), "(ImportError: Original error was: libx.so: cannot open)"),
        (AttributeError(), "(AttributeError: )"),
        (None, " is a folder without a module)"),
    ],
)
def test_one_that_fails_is_one_line_with_what_to_install(
    breaks: Break, library: Library, error: Exception | None, said: str
) -> None:
    breaks(library.modules[0].partition(".")[0], error)
    [found] = libraries.libraries()
    assert found.check == library.name
    assert found.state == (State.FAILED if library.is_needed else State.WARNING)
    assert said in found.text
    assert f"{sys.executable} -m pip install --force-reinstall" in found.text
    assert re.search(rf"--force-reinstall '?{library.name}[>=<]", found.text)


def test_what_fails_with_another_is_not_named(breaks: Break) -> None:
    for top in ("trio", "hypercorn", "quart_trio", "msgspec"):
        breaks(top, ImportError("no"))
    assert [found.check for found in libraries.libraries()] == ["trio", "msgspec"]


def test_without_an_installation_a_library_has_its_name(
    breaks: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "DISTRIBUTION", "no-such-distribution")
    breaks("trio", None)
    [found] = libraries.libraries()
    assert found.text.endswith("--force-reinstall trio")


@pytest.mark.parametrize("is_lacking", [True, False])
def test_the_service_is_not_looked_at_without_what_that_needs(
    breaks: Break, monkeypatch: pytest.MonkeyPatch, is_lacking: bool
) -> None:
    real = builtins.__import__

    def refusing(name: str, *arguments: Any) -> ModuleType:
        if name == "agent.doctor.service":
            raise AttributeError("module 'trio' has no attribute 'Event'")
        return real(name, *arguments)

    if is_lacking:
        breaks("trio", None)
    monkeypatch.setattr(builtins, "__import__", refusing)

    def found() -> list[Finding]:
        return [*libraries.service_with_them(Settings())]

    if is_lacking:
        why = "not known: that needs the libraries that failed"
        assert found() == [warning("service", why)]
    else:  # then it is a defect of our own
        with pytest.raises(AttributeError):
            found()


def test_it_starts_without_any_of_them() -> None:
    tops = [library.modules[0].partition(".")[0] for library in LIBRARIES]
    script = f"""
import importlib.abc, sys
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {tops}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
from agent.cli import build_parser
from agent.doctor import command, on_linux
from agent.settings import Settings
build_parser()
looked = dict(on_linux.checks(Settings()))
print(*(found.check for check in ("libraries", "service") for found in looked[check]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=TOP, capture_output=True, text=True, check=False
    )
    alone = [library.name for library in LIBRARIES if not library.imports]
    assert done.stdout.split() == [*alone, "service"], done.stderr
