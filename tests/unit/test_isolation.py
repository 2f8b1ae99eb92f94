"""The command line itself takes no code from its caller's directory, variables or user site."""

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fakes.copied_package import Copy
from fakes.waiting import PATIENCE_SECONDS, eventually

import agent as package
from agent.client.isolation import isolated_command

SCRIPT = Path(__file__).parents[2] / "bin/chainbench-agent"
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
LAYOUTS = ("", f"lib/{VERSION}/site-packages")
"""Where the package is relative to the folder that bin/ is in: ``--target``, and ``--user``."""
BEFORE_ANY_CODE = {"encodings", "sitecustomize", "usercustomize"}
"""What an interpreter imports while it starts, from wherever its caller says."""

CLI = """
import json, os, sys
def main():
    print(json.dumps({
        "isolated": sys.flags.isolated, "path": sys.path, "arguments": sys.argv[1:],
        "variables": [name for name in os.environ if name.startswith("PYTHON")],
    }))
    return 3
"""

SAYS_PATHS = """
import sys
import json, curses.ascii
import ours.__init__
before = [*sys.path]
import beside
print(json.dumps([before, sys.path]))
"""

USER_SITE = f".local/lib/{VERSION}/site-packages"


@dataclass
class Installed:
    """A package whose command line prints how it was started, and a script that starts it."""

    prefix: Path
    folder: Path
    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    def started(self, *command: str, cwd: Path) -> dict[str, Any]:
        python = getattr(sys, "_base_executable", sys.executable)  # venvs have no user site
        inherited = {n: v for n, v in os.environ.items() if not n.startswith("PYTHON")}
        done = subprocess.run(
            [python, *command, "a", "--b"],
            cwd=cwd,
            env={**inherited, "HOME": str(self.home), **self.environment},
            stdout=subprocess.PIPE,
            check=False,
        )
        assert done.returncode == 3
        shown = json.loads(done.stdout)
        assert shown["arguments"] == ["a", "--b"]
        assert isinstance(shown, dict)
        return shown

    @property
    def script(self) -> str:
        return str(self.prefix / "bin/chainbench-agent")


@pytest.fixture(params=LAYOUTS, ids=["target", "user"])
def installed(tmp_path: Path, request: pytest.FixtureRequest) -> Installed:
    prefix, home = tmp_path / "installed", tmp_path / "home"
    folder = prefix / request.param
    for path in (folder, prefix / "bin", home):
        path.mkdir(parents=True, exist_ok=True)
    Copy(folder)
    main = Path(package.__path__[0]) / "__main__.py"
    (folder / "agent/__main__.py").write_bytes(main.read_bytes())
    (folder / "agent/cli/__init__.py").write_text(CLI)
    shutil.copy(SCRIPT, prefix / "bin")
    return Installed(prefix, folder, home)


def test_the_command_is_isolated_whatever_its_caller_chooses(
    installed: Installed, tmp_path: Path
) -> None:
    assert installed.started(installed.script, cwd=tmp_path)["isolated"]


@pytest.mark.parametrize("path", ["", ":", "."])
def test_the_command_imports_nothing_from_the_working_directory(
    installed: Installed, tmp_path: Path, path: str
) -> None:
    """Not even what every interpreter has loaded, nor the package itself."""
    names = {"agent", *sys.stdlib_module_names} - BEFORE_ANY_CODE
    evil, sprung = tmp_path / "evil", tmp_path / "sprung"
    evil.mkdir()
    for name in names:
        (evil / f"{name}.py").write_text(f"open({str(sprung)!r}, 'a').write({name!r})\n")
    installed.environment["PYTHONPATH"] = path
    interpreter = ("-S", installed.script)  # no file that an environment has the interpreter run
    assert installed.started(*interpreter, cwd=evil)["isolated"]
    assert not sprung.exists()


def test_the_working_directory(installed: Installed) -> None:
    shown = installed.started("-m", "agent", cwd=installed.folder)
    assert shown["isolated"]
    # it is on the path for the package, but hides no module of the standard library
    standard = str(Path(os.__file__).parent)
    assert shown["path"].index(standard) < shown["path"].index(str(installed.folder))


@pytest.mark.parametrize("name", ["PYTHONPATH", "PYTHONINSPECT", "PYTHONPLATLIBDIR"])
def test_variables(installed: Installed, tmp_path: Path, name: str) -> None:
    values = {"PYTHONPATH": str(tmp_path / "chosen"), "PYTHONINSPECT": "", "PYTHONPLATLIBDIR": ""}
    installed.environment[name] = values[name]
    shown = installed.started(installed.script, cwd=tmp_path)
    assert shown["isolated"]
    assert str(tmp_path / "chosen") not in shown["path"]
    # a workload that it runs for the caller finds its environment unchanged
    assert shown["variables"] == [name]


def test_the_users_site(installed: Installed, tmp_path: Path) -> None:
    users = installed.home / USER_SITE
    users.mkdir(parents=True)
    shown = installed.started(installed.script, cwd=tmp_path)
    assert shown["isolated"]
    assert str(users) not in shown["path"]


def test_site_packages_are_added_before_the_first_import_from_there(tmp_path: Path) -> None:
    """Even where the module itself is found without, as beside a package that is installed."""
    ours = tmp_path / "ours"
    ours.mkdir()
    (ours / "__init__.py").touch()
    (ours / "__main__.py").write_text(SAYS_PATHS)
    (tmp_path / "beside.py").touch()
    done = subprocess.run(
        isolated_command("ours", folder=str(tmp_path)), capture_output=True, check=True
    )
    before, after = json.loads(done.stdout)
    assert before[-1] == str(tmp_path)
    assert set(after) - set(before) >= {str(Path(pytest.__file__).parents[1])}
    assert after[: len(before)] == before


INTERRUPTS_ITSELF = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('goes on')\n"
STARTS_THE_SCRIPT = """
import os, runpy, signal, sys
os.execv = lambda *_: os.kill(os.getpid(), signal.SIGINT)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.usefixtures("as_from_a_shell")
def test_ctrl_c_before_there_is_a_command_line_prints_no_traceback(
    tmp_path: Path, ignored: bool
) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours/__init__.py").touch()
    (tmp_path / "ours/__main__.py").write_text(INTERRUPTS_ITSELF)
    command = isolated_command("ours", folder=str(tmp_path))
    trap = "trap '' INT" if ignored else "trap - INT"
    done = subprocess.run(
        ["sh", "-c", f'{trap}; exec "$@"', "sh", *command], capture_output=True, check=False
    )
    ended = (0, b"goes on\n", b"") if ignored else (-signal.SIGINT, b"", b"")
    assert (done.returncode, done.stdout, done.stderr) == ended


@pytest.mark.usefixtures("as_from_a_shell")
def test_ctrl_c_in_the_script_prints_no_traceback() -> None:
    command = [sys.executable, "-c", STARTS_THE_SCRIPT, str(SCRIPT)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_a_directory_that_is_gone(installed: Installed, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = 'rmdir "$PWD" && exec "$0" "$@"'
    done = subprocess.run(
        ["sh", "-c", script, sys.executable, installed.script],
        cwd=gone,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (3, b"")


def test_what_is_installed_here_serves_with_hostile_modules_on_the_path(tmp_path: Path) -> None:
    """The console script of this environment; every module would be imported while it starts."""
    sprung, hostile = tmp_path / "sprung", tmp_path / "hostile"
    hostile.mkdir()
    code = f"open({str(sprung)!r}, 'a').write(__file__ + chr(10))\nraise SystemExit\n"
    for name in ("queue", "numpy", "trio", "argparse", "socket", "json"):
        (hostile / f"{name}.py").write_text(code)
    log = tmp_path / "log"
    script = Path(sysconfig.get_path("scripts")) / "chainbench-agent"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [script, "--port", "0"],
            cwd=hostile,
            env={**os.environ, "PYTHONPATH": str(hostile)},
            stdout=output,
            stderr=output,
        )
    try:
        eventually(lambda: "listening on" in log.read_text())
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
    assert not sprung.exists()
