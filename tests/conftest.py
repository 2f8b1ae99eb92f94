"""Selection of the tests that run on this machine, and how two processes share them.

CHAINBENCH_REQUIRE_KERNEL=1 turns skips of kernel tests, and skips for a missing program or
library, into failures. What remains a skip is what only another kernel would have; its reason
begins with ``not on this kernel: `` (fakes.needs).

Tests marked ``thorough`` run with CHAINBENCH_THOROUGH=1 and are deselected otherwise;
``thorough(but="id")`` leaves one parameter set of the test selected. Property tests try fewer
examples then.

Everything under tests/kernel carries the marker ``kernel``. Helpers that several tests share are
modules in tests/fakes (``from fakes.name import thing``).

With ``-n auto`` (pytest-xdist) the whole suite runs in two processes. Kernel tests that measure
stay in one of them, in order; the other modules go to whichever process has nothing left to do, and
those with agents of their own last: their programs add to what the scheduler's switches take, so
they wait until nothing measures.
"""

import functools
import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis
import pytest
from _pytest.runner import runtestprotocol

# Last in the search path: benchmarks/ is found here, but agent only where it is installed.
sys.path.append(str(Path(__file__).parents[1]))

REQUIRED = os.environ.get("CHAINBENCH_REQUIRE_KERNEL") == "1"
THOROUGH = os.environ.get("CHAINBENCH_THOROUGH") == "1"

# How long an example takes depends on the machine, and no test here asserts time.
hypothesis.settings.register_profile(
    "untimed",
    deadline=None,
    max_examples=100 if THOROUGH else 20,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("untimed")

# What is printed depends on the locale; tests of that choose their own.
os.environ["LC_ALL"] = "C.UTF-8"

# What run keeps in tests is not for the user who runs them.
STATE_HOME = tempfile.TemporaryDirectory(prefix="chainbench-agent-tests-")
os.environ["XDG_STATE_HOME"] = STATE_HOME.name

KERNEL_TESTS = Path(__file__).parent / "kernel"

BESIDE_OTHERS = {
    *("test_broken_probes", "test_data_dir", "test_failed_execs", "test_growth"),
    *(
        "test_interrupted",
        "test_kept_programs",
        "test_late_imports",
        "test_measured_blocks",
        "test_openapi",
    ),
    *("test_orphans", "test_other_tools", "test_overhead_results", "test_peers"),
    *("test_monitoring", "test_old_kernels", "test_privileges", "test_processes"),
    *("test_refusals", "test_run", "test_run_series", "test_several_agents"),
    *("test_scope_caller", "test_signals", "test_socket", "test_wheel"),
}
"""Kernel tests of how agents start, end, refuse and are used, none of which needs a quiet machine.
In thorough runs, which include the longest of them, they are kept from those that do."""

# Debian puts bpftool and the like in directories that an ordinary user's PATH leaves out.
SYSTEM_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin:/usr/sbin:/sbin"])

# Bits of the capability sets, from include/uapi/linux/capability.h.
CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF = 21, 38, 39


def effective_capabilities() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("CapEff:")[1].split()[0], 16)


def may_use_bpf(capabilities: int) -> bool:
    def held(bit: int) -> bool:
        return bool(capabilities >> bit & 1)

    return held(CAP_SYS_ADMIN) or (held(CAP_BPF) and held(CAP_PERFMON))


def has_bcc(python: str) -> bool:
    """Return whether an interpreter finds the real bcc: PyPI's namesake contains no libbcc."""
    found = subprocess.run(
        [python, "-I", "-c", "import bcc.libbcc"], capture_output=True, check=False
    )
    return found.returncode == 0


@functools.cache
def why_no_ebpf() -> str | None:
    if sys.platform != "linux":
        return "eBPF needs Linux"
    if not may_use_bpf(effective_capabilities()):
        return "eBPF needs root, or CAP_BPF and CAP_PERFMON"
    if not Path("/sys/kernel/btf/vmlinux").exists():
        return "this kernel has no BTF (/sys/kernel/btf/vmlinux)"
    if not any(has_bcc(python) for python in ("/usr/bin/python3", "python3")):
        return "bcc is missing: install python3-bpfcc (Debian, Ubuntu) or python3-bcc (Fedora)"
    return None


def takes_long(item: pytest.Item) -> bool:
    """Return whether the test is left out by default.

    So is timing by accounting, but for short runs (test_short_runs.py).
    """
    marker = item.get_closest_marker("thorough")
    if marker is not None and marker.kwargs.get("but") != parameter_id(item):
        return True
    return "accounting" in parameter_id(item).split("-") and item.path.stem != "test_short_runs"


def parameter_id(item: pytest.Item) -> str:
    """Return what stands between brackets in the test's name, or an empty string."""
    return item.name.partition("[")[2].removesuffix("]")


def of_kernel(path: Path) -> bool:
    return path.is_relative_to(KERNEL_TESTS)


def measures(path: Path) -> bool:
    """Return whether a module's tests must not run next to others of their kind."""
    return of_kernel(path) and (THOROUGH or path.stem not in BESIDE_OTHERS)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if of_kernel(item.path):
            item.add_marker(pytest.mark.kernel)
    if not THOROUGH:
        left_out = [item for item in items if takes_long(item)]
        # pytest shows their number in its last line
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: (not measures(item.path), of_kernel(item.path)))


def pytest_collection_finish() -> None:
    """Keep modules and tests out of garbage collections, as the agent does with its modules.

    The supervisor collects after each run. With all of the tests' modules that takes 0.1 s.
    """
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    reason = why_no_ebpf() if item.get_closest_marker("kernel") else None
    if reason:
        pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn skips of kernel tests into failures where kernel tests are required."""
    report = yield
    expected = hasattr(report, "wasxfail")
    if REQUIRED and report.skipped and not expected and item.get_closest_marker("kernel"):
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        if not reason.removeprefix("Skipped: ").startswith("not on this kernel: "):
            report.outcome = "failed"
            report.longrepr = f"CHAINBENCH_REQUIRE_KERNEL=1 but this did not run: {reason}"
    return report


# --- two processes


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return how many processes ``-n auto`` starts: none for tests that were chosen."""
    chosen = config.args_source is pytest.Config.ArgsSource.ARGS
    if chosen or config.option.keyword or config.option.markexpr:
        return 0
    return 2 if len(os.sched_getaffinity(0)) > 1 else 0


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give kernel tests that measure to one process, in order, and the rest module by module.

    Groups of xdist's own (``--dist loadgroup``) would change the names of the tests.
    """
    from xdist.scheduler import LoadScopeScheduling

    class MeasuringApart(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.partition("::")[0]
            return "measuring" if measures(config.rootpath / module) else module

        def _reschedule(self, node: Any) -> None:
            """Let whoever comes to the kernel tests that are left wait until nothing measures."""
            others = (units for each, units in self.assigned_work.items() if each is not node)
            measured = all(done for units in others for done in units.get("measuring", {}).values())
            following = next(iter(self.workqueue), "")
            if measured or not of_kernel(config.rootpath / following):
                super()._reschedule(node)

        def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
            super().mark_test_complete(node, item_index, duration)
            for each in self.registered_collections:  # not one that replaces a crashed one yet
                self._reschedule(each)

    config.option.loadscopereorder = False
    return MeasuringApart(config, log)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Count them for the process that prints the summary, which xdist does not."""
    for item in items[:1]:
        output = getattr(item.config, "workeroutput", {})
        output["deselected"] = output.get("deselected", 0) + len(items)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Show how many tests were deselected; it is the same number in each process."""
    reporter = node.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and not error:
        left_out = node.workeroutput.get("deselected", 0)
        reporter.stats["deselected"] = [SimpleNamespace() for _ in range(left_out)]


# --- a machine that disturbs what measures

REPETITIONS, PAUSE_S = 2, 0.5
"""What disturbs a test may go on for some time."""


def disturbances() -> tuple[int | None, int]:
    """Return how often process 1 was switched out so far, and for how many ticks CPUs were taken.

    The kernel that these tests ran on runs no program while process 1 is current, so switches and
    completions go unseen then (docs/explanation/error-bounds.md): in 250 runs of 200 writes on a
    busy machine, completions were missing in 26 of the 141 in which process 1 ran, and in none of
    the others. No test can keep it from running, nor a hypervisor from taking CPUs away.
    """
    from agent.streams.shared.kernel_counts import process_1_switches, read_kernel_counts

    return process_1_switches(), read_kernel_counts().stolen_ticks


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Repeat a kernel test that measures, twice at most, if it failed and was disturbed meanwhile.

    The summary names it, with what failed first.
    """
    if not of_kernel(item.path) or item.path.stem in BESIDE_OTHERS:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in reports_of_last(item, nextitem):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def reports_of_last(item: Any, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
    """Run a test until it passes, or fails without a disturbance or for the third time."""
    for attempt in range(REPETITIONS + 1):
        before = disturbances()
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        failed = [report for report in reports if report.when == "call" and report.failed]
        if not failed or attempt == REPETITIONS or disturbances() == before:
            break
        item.user_properties.append((REPEATED, failed[0].longreprtext))
        item._initrequest()  # new fixtures, as pytest-rerunfailures does it
        time.sleep(PAUSE_S)
    return reports


REPEATED = "repeated"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show what was repeated, and why."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for name, text in report.user_properties if report.when == "call" else ():
                if name == REPEATED:
                    terminalreporter.section(f"repeated, then {outcome}: {report.nodeid}")
                    terminalreporter.write_line(text)


# --- fixtures


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Undo what a test changes of signals here, which the processes of later ones would inherit."""
    mask, handler = signal.pthread_sigmask(signal.SIG_BLOCK, ()), signal.getsignal(signal.SIGTERM)
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Return a function that finds a program, as in ``tool("fio")``.

    It returns the path, or skips the test (fails it where kernel tests are required).
    """

    def find(name: str) -> str:
        path = shutil.which(name, path=SYSTEM_PATH)
        if path is None:
            reason = f"{name} is not installed"
            pytest.fail(reason) if REQUIRED else pytest.skip(reason)
        return path

    return find


@pytest.fixture
def as_from_a_shell() -> Iterator[None]:
    """Start children with the signals of a terminal, even if the tests ignore them (nohup).

    Here Ctrl-C gets Python's own handler, as from a terminal. By default it would end this process:
    a test that raises it took the process of all tests with it.
    """
    handlers = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGQUIT: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    ignored = [number for number in handlers if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, handlers[number])
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
