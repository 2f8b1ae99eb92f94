"""Rules of tests/conftest.py: skips have a reason, and are failures where tests are required."""

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import agent

CONFTEST = Path(__file__).parents[1] / "conftest.py"

KERNEL_TEST = """
import pytest

def test_runs():
    pass

def test_gives_up():
    pytest.skip("no such device")

@pytest.mark.xfail(reason="a known fault", strict=True)
def test_known_fault():
    raise ValueError
"""

OTHER_KERNEL_TEST = """
import pytest
from fakes.needs import lacking, needs

def test_lacks():
    lacking("zram")

@needs(False, "callbacks")
def test_needs():
    pass
"""

THOROUGH_TEST = """
import pytest

@pytest.mark.parametrize("times", [1, pytest.param(1000, marks=pytest.mark.thorough)])
def test_long(times):
    pass

@pytest.mark.thorough(but="ring")
@pytest.mark.parametrize("transport", ["ring", "perf", "auto"])
def test_of_each(transport):
    pass
"""

PLACED_TEST = """
import os
from pathlib import Path
from typing import Any

import pytest

@pytest.mark.parametrize("number", range(4))
def test_placed(number):
    worker = os.environ.get("PYTEST_XDIST_WORKER", "none")
    with open("placed", "a") as placed:
        print(worker, f"{Path(__file__).stem}-{number}", file=placed)

@pytest.mark.thorough
def test_left_out():
    pass
"""

TOOL_TEST = """
def test_present(tool):
    assert tool("env").endswith("/env")

def test_absent(tool):
    tool("no-such-program")
"""


FLAKY_TEST = """
from pathlib import Path

def test_flaky():
    tries = Path("tries")
    tries.write_text(tries.read_text() + "." if tries.exists() else ".")
    assert len(tries.read_text()) > {passes_after}, "the sum is off"
"""

DISTURBED = """

import itertools
PAUSE_S, count = 0, itertools.count()

def disturbances():
    return next(count)
"""

UNDISTURBED = DISTURBED.replace("next(count)", "0")


def run_pytest(root: Path, *arguments: str, **environment: str) -> str:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CHAINBENCH_", "PYTEST_"))}
    # these tests need no plugin, and importing those that are installed takes a second
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    command = [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(
        command, cwd=root, env=env | environment, capture_output=True, text=True, check=False
    )
    return done.stdout


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A test tree with this project's conftest, changed to find eBPF usable."""
    usable = "\n\ndef why_no_ebpf():\n    return None\n"
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text() + usable)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    kernel\n    thorough\n")
    (tmp_path / "kernel").mkdir()
    return tmp_path


def test_a_kernel_test_may_give_up_with_a_reason(suite: Path) -> None:
    (suite / "kernel" / "test_kernel.py").write_text(KERNEL_TEST)
    output = run_pytest(suite)
    assert "1 passed, 1 skipped, 1 xfailed" in output
    assert "no such device" in output


def test_giving_up_is_a_failure_where_required(suite: Path) -> None:
    (suite / "kernel" / "test_kernel.py").write_text(KERNEL_TEST)
    output = run_pytest(suite, CHAINBENCH_REQUIRE_KERNEL="1")
    assert "1 failed, 1 passed, 1 xfailed" in output
    assert "this did not run: Skipped: no such device" in output


def test_what_only_another_kernel_has_remains_a_skip(suite: Path) -> None:
    (suite / "kernel" / "test_kernel.py").write_text(OTHER_KERNEL_TEST)
    tests = str(CONFTEST.parent)
    output = run_pytest(suite, CHAINBENCH_REQUIRE_KERNEL="1", PYTHONPATH=tests)
    assert "2 skipped" in output
    assert "not on this kernel: zram" in output
    assert "not on this kernel: callbacks" in output


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("module", "machine", "passes_after", "tries", "outcome"),
    [
        ("test_waits", DISTURBED, 1, 2, "1 passed"),
        ("test_waits", DISTURBED, 9, 3, "1 failed"),
        ("test_waits", UNDISTURBED, 1, 1, "1 failed"),
        ("test_signals", DISTURBED, 1, 1, "1 failed"),
    ],
    ids=["disturbed once", "each time", "undisturbed", "measures nothing"],
)
def test_what_measures_is_repeated_if_it_was_disturbed(
    suite: Path, module: str, machine: str, passes_after: int, tries: int, outcome: str
) -> None:
    with (suite / "conftest.py").open("a") as conftest:
        conftest.write(machine)
    test = suite / "kernel" / f"{module}.py"
    test.write_text(FLAKY_TEST.format(passes_after=passes_after))
    output = run_pytest(suite)
    assert outcome in output
    assert (suite / "tries").read_text() == "." * tries
    headed = f"repeated, then {outcome.split()[1]}: kernel/{module}.py::test_flaky"
    assert (headed in output) == (tries > 1)
    if tries > 1:
        assert "the sum is off" in output.partition(headed)[2]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("thorough", "outcome"), [("0", "2 passed, 3 deselected"), ("1", "5 passed")]
)
def test_what_takes_long_is_left_out_and_counted(suite: Path, thorough: str, outcome: str) -> None:
    (suite / "test_long.py").write_text(THOROUGH_TEST)
    assert outcome in run_pytest(suite, CHAINBENCH_THOROUGH=thorough)


def test_what_may_run_beside_others_exists(pytestconfig: pytest.Config) -> None:
    conftest: Any = pytestconfig.pluginmanager.get_plugin(str(CONFTEST))
    modules = {file.stem for file in (CONFTEST.parent / "kernel").glob("test_*.py")}
    assert modules >= conftest.BESIDE_OTHERS


@pytest.mark.thorough
def test_what_is_left_selected_exists() -> None:
    """A parameter set that is renamed would otherwise be deselected like the others."""
    tests = CONFTEST.parent
    named = [
        (file, f"{function.name}[{keyword.value.value}]")
        for file in tests.rglob("test_*.py")
        for function in ast.parse(file.read_text()).body
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for mark in function.decorator_list
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.thorough"
        for keyword in mark.keywords
        if isinstance(keyword.value, ast.Constant)
    ]
    assert named
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    collected = subprocess.run(
        [*command, *{file for file, _ in named}],
        cwd=tests.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    names = {line.rpartition("::")[2] for line in collected.stdout.splitlines()}
    assert not {name for _, name in named} - names


def test_without_ebpf_kernel_tests_are_skipped_and_others_run(suite: Path) -> None:
    with (suite / "conftest.py").open("a") as conftest:
        conftest.write("\n\ndef why_no_ebpf():\n    return 'eBPF is out of reach'\n")
    (suite / "kernel" / "test_kernel.py").write_text("def test_kernel(): assert False\n")
    (suite / "test_other.py").write_text("def test_other(): pass\n")
    output = run_pytest(suite)
    assert "1 passed, 1 skipped" in output
    assert "eBPF is out of reach" in output


def run_in_two(suite: Path, *arguments: str) -> tuple[dict[str, list[str]], str]:
    """Return which tests each process ran, in their order, and the last line of the output."""
    for path in ("kernel/test_a", "kernel/test_b", "kernel/test_signals", "test_c", "test_d"):
        (suite / f"{path}.py").write_text(PLACED_TEST)
    output = run_pytest(suite, "-p", "xdist.plugin", "-n", "auto", *arguments)
    placed: dict[str, list[str]] = {}
    for line in (suite / "placed").read_text().splitlines():
        worker, test = line.split()
        placed.setdefault(worker, []).append(test)
    return placed, output.splitlines()[-1]


two_cpus = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU, one process")


@two_cpus
@pytest.mark.thorough
def test_of_two_processes_one_runs_what_measures_in_order(suite: Path) -> None:
    placed, last = run_in_two(suite)
    assert placed.keys() == {"gw0", "gw1"}
    measuring, other = sorted(placed.values())
    in_order = [f"{module}-{number}" for module in ("test_a", "test_b") for number in range(4)]
    assert measuring[:8] == in_order
    assert other[:4] == [f"test_c-{number}" for number in range(4)]
    assert "test_signals-3" in (measuring[-1], other[-1])
    assert sum(map(len, placed.values())) == 20
    assert "20 passed, 5 deselected" in last


@two_cpus
@pytest.mark.thorough(but="path")
@pytest.mark.parametrize(
    "chosen",
    [["."], ["-k", "placed"], ["-m", "kernel or not kernel"]],
    ids=["path", "name", "marker"],
)
def test_chosen_tests_run_in_one_process(suite: Path, chosen: list[str]) -> None:
    placed, last = run_in_two(suite, *chosen)
    assert placed.keys() == {"none"}
    assert "20 passed, 5 deselected" in last


@pytest.mark.parametrize(("required", "outcome"), [("0", "skipped"), ("1", "failed")])
def test_an_absent_tool(suite: Path, required: str, outcome: str) -> None:
    (suite / "test_tool.py").write_text(TOOL_TEST)
    output = run_pytest(suite, CHAINBENCH_REQUIRE_KERNEL=required)
    assert f"1 {outcome}" in output
    assert "1 passed" in output
    assert "no-such-program is not installed" in output


@pytest.fixture
def ignoring_ctrl_c() -> Iterator[None]:
    """As in a job that a shell started in the background, or with nohup."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ignoring_ctrl_c")
def test_ctrl_c_ends_no_process_of_the_tests(request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("as_from_a_shell")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.skipif("CHAINBENCH_WHEEL" not in os.environ, reason="only tox installs the wheel")
def test_the_installed_wheel_is_what_is_tested() -> None:
    assert agent.__file__ is not None
    assert Path(agent.__file__).is_relative_to(sys.prefix)
