"""The generated pages, from the figures that are kept next to this file."""

import json
from pathlib import Path
from typing import Any

from agent.overhead.machine import Machine
from agent.overhead.table import render_machine
from benchmarks import kept
from benchmarks.causes import Rates as CauseRates
from benchmarks.causes_page import write_page as write_causes
from benchmarks.kept import picture
from benchmarks.results_page import write_page
from benchmarks.verdicts import Rates
from benchmarks.verdicts_page import write_page as write_rates

FOLDER = Path(__file__).parent
PAGE = FOLDER / "RESULTS.md"
RATES = FOLDER / "verdicts.json"
RATES_PAGE = FOLDER.parent / "docs" / "explanation" / "false-alarms.md"
CAUSES = FOLDER / "causes.json"
CAUSES_PAGE = FOLDER.parent / "docs" / "explanation" / "measured-causes.md"


def page() -> str:
    """Return the text of RESULTS.md, made from the last runs on each make of processor."""
    full, targets = kept.results(kept.FULL), kept.results(kept.TARGETS)
    clients = kept.parts(kind=kept.CLIENTS)
    pictures = [
        picture(file, workload.name).name
        for file, result in full.items()
        for workload in result.workloads
    ]
    return write_page([*full.values()], [*targets.values()], kept.parts(), clients, pictures)


def rates_page() -> str:
    """Return the text of the page on false alarms, made from the last full run."""
    data = read(RATES)
    return write_rates(Rates.from_json(data["rates"]), render_machine(Machine(**data["machine"])))


def causes_page() -> str:
    """Return the text of the page on named causes, made from the comparisons that are kept."""
    data = read(CAUSES)
    machine = render_machine(Machine.from_json(data["machine"]))
    return write_causes(CauseRates.from_json(data["rates"]), machine)


def read(path: Path) -> dict[str, Any]:
    """Return the data of a full run, or an empty dict before the first one."""
    return dict(json.loads(path.read_text())) if path.exists() else {}
