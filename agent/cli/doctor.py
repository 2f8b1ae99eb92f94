"""``chainbench-agent doctor``: is everything there that collection needs?"""

import argparse

from agent.cli import layers, serve
from agent.cli.parser import Commands


def add(commands: Commands) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="check what collection needs, and what spoils benchmarks on this machine",
        usage="%(prog)s [-h] [--json] [OPTIONS of serve]",
        description="Check everything that an agent with these options needs, and what makes runs"
        " on this machine differ; then collect for one second.",
        epilog="Exit status: 0; 1 if something needed is missing.",
    )
    serve.add_options(doctor)
    # afterwards: it is no setting
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")
    doctor.set_defaults(parser=doctor, run=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    layers.settle(options)
    serve.check(options)
    from agent.doctor.command import doctor

    return doctor(serve.settings_of(options), as_json=options.json)
