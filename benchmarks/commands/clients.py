"""``clients``: how long requests take while many clients ask at once."""

import argparse
import json
from datetime import UTC, datetime

from agent.client.spawn import running_agent
from agent.overhead.machine import read_machine
from agent.overhead.table import render_machine
from benchmarks import kept
from benchmarks.against import checkout
from benchmarks.clients import CLIENTS, SECONDS, figures, measure, render
from benchmarks.commands.options import Commands, new_file, positive
from benchmarks.pages import PAGE, page
from benchmarks.suite import versions


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "clients",
        help="measure requests while many clients send them at once, five minutes",
        description="Measure requests while many clients send them at once. With as many clients,"
        f" and for as long, as by default, {PAGE.name} is updated.",
    )
    command.add_argument("--clients", type=positive, default=CLIENTS, metavar="N")
    command.add_argument("--seconds", type=positive, default=round(SECONDS), metavar="S")
    command.add_argument("--out", type=new_file, help="write JSON to this file")
    command.set_defaults(run=_measure)


def _measure(options: argparse.Namespace) -> int:
    """Return 0 if each request was answered, none with a 5xx, and no event was lost."""
    machine, started = read_machine(versions()), datetime.now(UTC).isoformat(timespec="seconds")
    with running_agent() as agent:
        agent.post("/start")
        agent.post("/stop")
        pids = {p["role"]: p["pid"] for p in agent.get("/status")["processes"]}
        both = [pids["agent"], pids["supervisor"]]
        load = measure(agent.url, both, options.clients, options.seconds)
    print(f"{render_machine(machine)}\n\n{render(load)}", end="")
    found = kept.Parts(machine, figures(load), started, checkout().commit)
    if options.out:
        options.out.write_text(json.dumps(found.to_json(), indent=1) + "\n")
    if (options.clients, options.seconds) == (CLIENTS, SECONDS):
        kept.keep(kept.CLIENTS, found)
        PAGE.write_text(page())
    answers = load.answers
    return 1 if answers.missing or answers.refused_by_the_server or answers.lost else 0
