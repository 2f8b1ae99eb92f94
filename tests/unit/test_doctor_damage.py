"""Files of libraries that are not what was installed are found by pip's list of them."""

import shutil
import tempfile
from importlib import metadata
from pathlib import Path

import pytest
from fakes.users import SOMEBODY, as_root

from agent.doctor.as_user import as_user
from agent.doctor.damage import Forbidden, cut_short, damaged, forbidden, with_required

GOOD = "A = 1\nB = 2\n"


def install(folder: Path, name: str, *requires: str, **files: str) -> Path:
    """Install a library as pip does, with the files of this text; return the folder of its list."""
    package, record = folder / name, folder / f"{name}-1.dist-info"
    package.mkdir()
    record.mkdir()
    required = "".join(f"Requires-Dist: {line}\n" for line in requires)
    (record / "METADATA").write_text(f"Name: {name}\nVersion: 1\n{required}")
    listed = [f"{name}-1.dist-info/METADATA,,", f"../../bin/{name}.py,sha256=x,900"]
    for file, text in {"__init__.py": "", **files}.items():
        (package / file).write_text(text)
        listed.append(f"{name}/{file},sha256=x,{len(text)}")
    (record / "RECORD").write_text("\n".join(listed))
    return record


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The site-packages of an app, which requires lib, which requires its low-level library."""
    monkeypatch.syspath_prepend(tmp_path)
    install(tmp_path, "cba_app", "cba-lib>=1 ; python_version > '3'", "cba-test; extra == 'test'")
    install(tmp_path, "cba_lib", "CBA.low", "cba-absent", "cba-app", **{"a.py": GOOD})
    install(tmp_path, "cba_low", **{"b.py": GOOD, "c.so": GOOD, "d.txt": GOOD})
    install(tmp_path, "cba_test", **{"e.py": GOOD})
    return tmp_path


def test_all_that_a_library_requires_is_found(folder: Path) -> None:
    assert with_required(["cba-app"]) == ["cba-app", "cba-lib", "cba-low"]


def test_what_is_as_it_was_installed_is_not_damaged(folder: Path) -> None:
    (folder / "cba_lib/a.py").write_text(f"{GOOD}# edited\n")
    assert damaged("cba-app") == {}
    assert cut_short("cba-lib") == []


def test_files_of_code_that_are_shorter_or_missing_are_damage(folder: Path) -> None:
    for file in ("b.py", "c.so", "d.txt"):
        (folder / "cba_low" / file).write_text("A")
    (folder / "cba_lib/a.py").unlink()
    (folder / "cba_test/e.py").write_text("")
    short = "cba_low/b.py has 1 of 12 bytes"
    of_low = [short, "cba_low/c.so has 1 of 12 bytes"]
    assert damaged("cba-app") == {"cba-lib": ["cba_lib/a.py is missing"], "cba-low": of_low}
    assert damaged("cba-low") == {"cba-low": of_low}
    # one that can be imported may do without the others
    assert (cut_short("cba-low"), cut_short("cba-lib")) == ([short], [])


def test_a_file_that_python_leaves_out_is_missing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Since 3.12 it lists of those that pip wrote down only the ones that are there."""
    every = metadata.Distribution.files.fget  # type: ignore[attr-defined]

    def files(self: metadata.Distribution) -> list[metadata.PackagePath]:
        return [file for file in every(self) or [] if Path(file.locate()).exists()]

    monkeypatch.setattr(metadata.Distribution, "files", property(files))
    (folder / "cba_lib/a.py").unlink()
    assert damaged("cba-app") == {"cba-lib": ["cba_lib/a.py is missing"]}


def test_what_cannot_be_looked_at_is_damage(folder: Path) -> None:
    (folder / "cba_lib/a.py").unlink()
    (folder / "cba_lib/a.py").symlink_to("a.py")
    shutil.rmtree(folder / "cba_low")
    (folder / "cba_low").write_text("")
    assert damaged("cba-app") == {
        "cba-lib": ["cba_lib/a.py: Too many levels of symbolic links"],
        "cba-low": [f"cba_low/{file} is missing" for file in ("__init__.py", "b.py", "c.so")],
    }
    assert cut_short("cba-low") == cut_short("cba-lib") == []


@as_root
@pytest.mark.parametrize(
    ("closed", "found"),
    [
        (["cba_lib/a.py"], "cba_lib/a.py"),
        (["cba_lib"], "cba_lib/__init__.py"),
        (["cba_lib", "cba_lib-1.dist-info"], "cba_lib"),
        (["cba_low"], "cba_low/__init__.py"),
    ],
)
def test_what_a_user_may_not_read_is_no_damage(
    monkeypatch: pytest.MonkeyPatch, closed: list[str], found: str
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        monkeypatch.syspath_prepend(folder)
        install(folder, "cba_lib", "cba-low", **{"a.py": GOOD})
        install(folder, "cba_low", **{"b.py": GOOD})
        assert as_user(SOMEBODY, lambda: repr(forbidden("cba-lib"))) == "None"
        for path in closed:
            (folder / path).chmod(0)
        assert as_user(SOMEBODY, lambda: repr(damaged("cba-lib"))) == "{}"
        told = as_user(SOMEBODY, lambda: repr(forbidden("cba-lib")))
        assert told == repr(Forbidden(str(folder / found), name))


@pytest.mark.parametrize("file", ["METADATA", "RECORD"])
@pytest.mark.parametrize("content", [b"", b"\xff\0\n", b'a,"b\n', b"cba_low/\0.py,x,1\n", None])
def test_lists_that_are_damaged_say_nothing(folder: Path, file: str, content: bytes | None) -> None:
    (folder / "cba_low/b.py").write_text("A")
    path = folder / "cba_low-1.dist-info" / file
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    found = damaged("cba-app")
    assert found.keys() == ({"cba-low"} if file == "METADATA" else set())
