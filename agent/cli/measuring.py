"""The options that ``run`` and ``record`` share."""

import argparse
import dataclasses
import os
from pathlib import Path

from agent.cli.values import names_of, run_label, time, url
from agent.model import TIMINGS, Labels
from agent.run.options import PATIENCE_S, Options
from agent.sections.probes import DEFAULT_SECTIONS, DETAILS, SECTIONS
from agent.settings import SERVICE_SOCKET, Settings

LABEL_OPTIONS = tuple(field.name for field in dataclasses.fields(Labels))


def add_measuring_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that ``run`` and ``record`` share."""
    parser.add_argument(
        "--agent",
        metavar="URL",
        type=url,
        default=os.environ.get("CHAINBENCH_AGENT") or None,
        help="URL of an agent, also unix:/PATH (default: CHAINBENCH_AGENT, or that of a service: on"
        f" {SERVICE_SOCKET} or port {Settings().port}, or a new one)",
    )
    parser.add_argument(
        "--wait",
        type=time,
        metavar="TIME",
        default=PATIENCE_S,
        help="how long to wait while another run is in progress (default: %(default)g s)",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write the report to a file instead"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="save the evidence, which show prints in full"
    )
    parser.add_argument("--quiet", action="store_true", help="print no report")
    parser.add_argument(
        "--sections",
        type=names_of(SECTIONS),
        metavar="LIST",
        help=f"sections to measure, comma-separated (default: {','.join(DEFAULT_SECTIONS)})",
    )
    parser.add_argument(
        "--details",
        type=names_of(DETAILS),
        metavar="LIST",
        help=f"costlier measurements, comma-separated: {', '.join(DETAILS)}",
    )
    parser.add_argument(
        "--timing",
        choices=TIMINGS,
        help="time by the clock or by the scheduler's own accounting (default: the agent's)",
    )
    for name in LABEL_OPTIONS:
        parser.add_argument(
            f"--{name}", type=run_label, metavar="TEXT", help=f"the label {name} of the run"
        )


def measuring_options(options: argparse.Namespace) -> Options:
    names = ("sections", "details", "timing", *LABEL_OPTIONS)
    return Options(
        agent=options.agent,
        start={name: value for name in names if (value := getattr(options, name)) is not None},
        patience_s=options.wait,
        output=options.output,
        json=options.json,
        quiet=options.quiet,
    )
