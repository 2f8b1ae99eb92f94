"""The options that ``run`` and ``record`` share."""

import argparse
import os

from agent.cli.values import NamesOf, path, run_label, time, url
from agent.run.options import PATIENCE_S, Options
from agent.words import LABEL_NAMES, PORT, SERVICE_SOCKET, TIMINGS

LABELS = {
    "scenario": "the benchmark, or the side of a comparison (run --baseline sets it itself)",
    "impl": "the implementation, for example python",
    "variant": "the variant of it, for example numpy",
    "commit": "the commit of the measured code (default of run: that of the directory, by git)",
    "dataset": "the data set, for example its SHA-256",
}


def _sections() -> tuple[str, ...]:
    from agent.sections.probes import SECTIONS

    return SECTIONS


def _default_sections() -> tuple[str, ...]:
    from agent.sections.probes import DEFAULT_SECTIONS

    return DEFAULT_SECTIONS


def _details() -> tuple[str, ...]:
    from agent.sections.probes import DETAILS

    return tuple(DETAILS)


def add_measuring_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that ``run`` and ``record`` share."""
    parser.add_argument(
        "--agent",
        metavar="URL",
        type=url,
        action="append",
        help="URL of an agent, also unix:/PATH (default: CHAINBENCH_AGENT, or that of a service: on"
        f" {SERVICE_SOCKET} or port {PORT}, or a new one)",
    )
    parser.add_argument(
        "--wait",
        type=time,
        metavar="TIME",
        default=PATIENCE_S,
        help="how long to wait while another run is in progress (default: %(default)g s)",
    )
    parser.add_argument(
        "--output", type=path, metavar="FILE", help="write the report to a file instead"
    )
    parser.add_argument(
        "--json", type=path, metavar="FILE", help="save the evidence, which show prints in full"
    )
    add_html_option(parser)
    parser.add_argument("--quiet", action="store_true", help="print no report")
    parser.add_argument(
        "--sections",
        type=NamesOf(_sections, shown=_default_sections),
        metavar="LIST",
        help="sections to measure, comma-separated (default: %(type)s)",
    )
    parser.add_argument(
        "--details",
        type=NamesOf(_details),
        metavar="LIST",
        help="costlier measurements, comma-separated: %(type)s",
    )
    parser.add_argument(
        "--timing",
        choices=TIMINGS,
        help="time by the clock or by the scheduler's own accounting (default: the agent's)",
    )
    labels = parser.add_argument_group(
        "labels",
        "Texts that runs list, runs show and compare find runs by, as in: compare variant=numpy"
        " variant=numba.",
    )
    for name in LABEL_NAMES:
        labels.add_argument(f"--{name}", type=run_label, metavar="TEXT", help=LABELS[name])


def add_html_option(parser: argparse.ArgumentParser) -> None:
    """Add the option of a report with pictures, which ``compare`` has too."""
    parser.add_argument(
        "--html",
        type=path,
        metavar="FILE",
        help="save a report with pictures, which any browser shows (extra: report)",
    )


def _of_the_environment(parser: argparse.ArgumentParser) -> list[str]:
    """Return the agent that CHAINBENCH_AGENT names, if any."""
    named = os.environ.get("CHAINBENCH_AGENT")
    try:
        return [url(named)] if named else []
    except argparse.ArgumentTypeError as error:
        parser.error(f"argument --agent: {error} (CHAINBENCH_AGENT)")


def measuring_options(options: argparse.Namespace) -> Options:
    names = ("sections", "details", "timing", *LABEL_NAMES)
    agents = options.agent or _of_the_environment(options.parser)
    if len(set(agents)) < len(agents):
        options.parser.error("argument --agent: an agent is named twice")
    return Options(
        agent=agents[0] if agents else None,
        start={name: value for name in names if (value := getattr(options, name)) is not None},
        patience_s=options.wait,
        output=options.output,
        json=options.json,
        html=options.html,
        quiet=options.quiet,
        others=tuple(agents[1:]),
    )
