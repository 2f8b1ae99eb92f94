"""What the server's libraries import and this server never uses."""

import importlib
import subprocess
import sys
from collections.abc import Iterator

import pytest
from fakes.imports import reachable

from agent.processes import left_out
from agent.processes.left_out import LEFT_OUT, LeftOut, is_left_out, leave_out


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave out modules that nothing here has imported."""
    monkeypatch.setattr(left_out, "LEFT_OUT", ("cba_unused",))
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    leave_out()
    yield
    for name in [name for name in sys.modules if name.startswith("cba_unused")]:
        del sys.modules[name]


@pytest.mark.usefixtures("without")
def test_a_library_may_import_it_derive_from_it_and_catch_it() -> None:
    server = importlib.import_module("cba_unused.of_a_server")
    assert server.__name__ == "cba_unused.of_a_server"

    class Derived(server.Base):  # type: ignore[misc, name-defined]
        pass

    assert Derived.__mro__[1] is server.Base
    assert issubclass(server.Wrong, Exception), "it may be named in except"
    assert not hasattr(server, "__version__")


@pytest.mark.usefixtures("without")
def test_using_it_says_what_is_missing() -> None:
    used = importlib.import_module("cba_unused")
    with pytest.raises(LeftOut, match=r"cba_unused\.Connection is left out"):
        used.Connection(1, name="x")


@pytest.mark.usefixtures("without")
def test_everything_else_is_found_as_before() -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("cba_unusedness")


WHAT_A_SERVER_HAS = """
import sys
from agent.processes.left_out import leave_out
leave_out()
from agent.http.app import create_app
import agent.http.server, agent.processes.serving
print(*sys.modules)
"""


def test_a_serving_process_has_nothing_of_it() -> None:
    """What only these modules import shows that they are empty."""
    command = [sys.executable, "-c", WHAT_A_SERVER_HAS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert {"quart_trio", "hypercorn.protocol.h11"} <= modules
    assert set(LEFT_OUT) <= modules, "all that is left out would be imported"
    assert not {"hpack", "wsproto", "jinja2.lexer", "click.testing", "pdb"} & modules
    assert not {"socketserver", "aiofiles.tempfile", "itsdangerous.signer"} & modules
    assert not {"hypercorn.asyncio.run", "multiprocessing.context", "tomllib._parser"} & modules


def test_the_serving_process_imports_nothing_of_it_itself() -> None:
    found = reachable("agent.processes.collecting") | reachable("agent.processes.mocking")
    ours = set().union(*found.values())
    assert "trio" in ours
    assert not {name for name in ours if is_left_out(name)}
