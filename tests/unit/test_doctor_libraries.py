"""``doctor`` where a library is missing or damaged: one line says which, and what to install."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

import pytest
from fakes.bare_python import bare_python

from agent.client.isolation import isolated_command
from agent.doctor import libraries
from agent.doctor.damage import Forbidden
from agent.doctor.finding import Finding, State, failed, unknown
from agent.doctor.libraries import LIBRARIES, Libraries, Library
from agent.settings import Settings

TOP = Path(__file__).parents[2]
Break = Callable[[str, str], None]


@pytest.fixture
def breaks(monkeypatch: pytest.MonkeyPatch) -> Break:
    """A function that has a library, or `service`, be one that cannot be imported, and why."""
    broken: dict[str, str] = {}

    def why_not(groups: Sequence[Sequence[str]]) -> list[str]:
        names = [*(library.name for library in LIBRARIES), libraries.SERVICE]
        assert len(groups) == len(names)
        return [broken.get(name, "") for name in names]

    monkeypatch.setattr(libraries, "why_not", why_not)
    return broken.__setitem__


def found() -> list[Finding]:
    return [*Libraries().findings()]


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
    [finding] = found()
    assert (finding.check, finding.state) == ("libraries", State.OK)
    assert f"trio {metadata.version('trio')}, " in finding.text


def test_versions_are_found_by_an_isolated_interpreter_too() -> None:
    command = isolated_command("agent", "doctor", "--mock", "--json")  # nothing is collected
    checks = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)["checks"]
    [said] = [check["text"] for check in checks if check["check"] == "libraries"]
    assert said == found()[0].text


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.name)
def test_one_that_fails_is_one_line_with_what_to_install(breaks: Break, library: Library) -> None:
    breaks(library.name, "AttributeError: no")
    [finding] = found()
    assert finding.check == library.name
    assert finding.state == (State.FAILED if library.is_needed else State.WARNING)
    assert finding.text.startswith("cannot be imported (AttributeError: no). Install it again: ")
    assert f"{sys.executable} -m pip install --force-reinstall" in finding.text
    assert re.search(rf"--force-reinstall '?{library.name}[>=<]", finding.text)


def test_what_fails_with_another_is_not_named(breaks: Break) -> None:
    for name in ("trio", "hypercorn", "quart-trio", "msgspec"):
        breaks(name, "ImportError: no")
    assert [finding.check for finding in found()] == ["trio", "msgspec"]


def test_without_an_installation_a_library_has_its_version(
    breaks: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "DISTRIBUTION", "no-such-distribution")
    breaks("trio", "ImportError: no")
    [finding] = found()
    assert finding.text.endswith(f"--force-reinstall trio=={metadata.version('trio')}")


def test_what_is_damaged_is_named_and_installed_again_not_what_requires_it(
    breaks: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_quart = {"h11": ["h11/a.py has 0 of 9 bytes"], "markupsafe": ["m.py is missing", "n", "o"]}
    monkeypatch.setattr(libraries, "damaged", {"quart": of_quart}.__getitem__)
    breaks("quart", "ImportError: no")
    [finding] = found()
    assert finding.check == "quart"
    assert "(ImportError: no). h11 is damaged: h11/a.py has 0 of 9 bytes. " in finding.text
    assert "markupsafe is damaged: m.py is missing and 2 more. Install it again" in finding.text
    pinned = f"markupsafe=={metadata.version('markupsafe')}"
    assert re.search(rf"--force-reinstall 'h11>=[0-9.]+' {pinned}$", finding.text)


def test_one_that_may_not_be_read_is_not_to_be_installed_again(
    breaks: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "forbidden", lambda name: Forbidden(f"/x/{name}.py", "/x"))
    breaks("trio", "ImportError: no")
    [finding] = found()
    assert finding.text.endswith("This user may not read /x/trio.py: chmod -R a+rX /x")
    assert "Install" not in finding.text


def test_one_that_is_cut_short_is_named_though_it_can_be_imported(
    breaks: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"h11": ["h11/a.py has 5 of 9 bytes"], "h2": ["h2/b.py has 1 of 2 bytes"]}
    monkeypatch.setattr(libraries, "cut_short", lambda name: files.get(name, []))
    one, other = sorted(found())
    assert (one.check, one.state) == ("h11", State.WARNING)
    assert one.text.startswith("is damaged: h11/a.py has 5 of 9 bytes. Install it again: ")
    assert other.text.endswith(f"--force-reinstall h2=={metadata.version('h2')}")
    breaks("h11", "ImportError: no")
    assert sorted(finding.state for finding in found()) == [State.FAILED, State.WARNING]


@pytest.mark.parametrize(
    ("library", "said"),
    [
        ("trio", [unknown("service", "that needs the libraries that failed")]),
        ("", [failed("service", f"{libraries.SERVICE} cannot be imported (was killed)")]),
    ],
)
def test_the_service_is_not_imported_where_that_fails(
    breaks: Break, library: str, said: list[Finding]
) -> None:
    breaks(library, "ImportError: no")
    breaks(libraries.SERVICE, "was killed")
    assert [*Libraries().service(Settings())] == said


def test_it_starts_without_any_of_them(tmp_path: Path) -> None:
    script = """
from agent.cli import build_parser
from agent.doctor import command, on_linux
from agent.settings import Settings
build_parser()
looked = dict(on_linux.checks(Settings()))
print(*(found.check for check in ("libraries", "service") for found in looked[check]))
"""
    done = subprocess.run(
        [bare_python(tmp_path), "-c", script],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )
    alone = [library.name for library in LIBRARIES if not library.imports]
    assert done.stdout.split() == [*alone, "service"], done.stderr
