"""``chainbench-agent demo``: run a bundled workload and print its evidence."""

import argparse

from agent.cli.parser import Commands


def add(commands: Commands) -> None:
    demo = commands.add_parser(
        "demo",
        help="run a bundled workload and print its evidence",
        description="Run a bundled workload of two seconds under an agent and print the evidence.",
    )
    demo.add_argument("--agent", metavar="URL", help="URL of a running agent (default: start one)")
    demo.set_defaults(parser=demo, run=_demo)


def _demo(options: argparse.Namespace) -> int:
    from agent.demo.command import run_demo

    return run_demo(options.agent)
