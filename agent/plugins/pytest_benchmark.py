"""A plugin for pytest-benchmark (``--chainbench``): evidence of each benchmark in ``extra_info``.

pytest loads it wherever this package is installed. Unless it is asked for, it adds two options and
does nothing else. Annotations are strings: an older pytest may lack some of these names.
"""

import pytest


def pytest_addoption(parser: "pytest.Parser") -> None:
    group = parser.getgroup("chainbench", "chainbench-agent")
    group.addoption(
        "--chainbench",
        action="store_true",
        default=False,
        help="measure each benchmark of pytest-benchmark with a running chainbench-agent, and put "
        "figures into its extra_info",
    )
    group.addoption(
        "--chainbench-agent",
        metavar="URL",
        help="URL of the agent (default: CHAINBENCH_AGENT, or that of a service)",
    )
    parser.addini("chainbench", "as --chainbench", type="bool", default=False)


def pytest_configure(config: "pytest.Config") -> None:
    if not (config.getoption("chainbench") or config.getini("chainbench")):
        return
    if not config.pluginmanager.hasplugin("benchmark"):
        raise pytest.UsageError(
            "--chainbench measures the benchmarks of pytest-benchmark, which is not installed, or "
            "disabled: pip install pytest-benchmark"
        )
    # only here: pytest without the option must not import any of it
    from agent.plugins.benchmarks import Benchmarks

    try:
        measuring = Benchmarks(config.getoption("chainbench_agent"))
    except ValueError as error:
        raise pytest.UsageError(f"--chainbench-agent: {error}") from None
    config.pluginmanager.register(measuring, "chainbench-benchmarks")
