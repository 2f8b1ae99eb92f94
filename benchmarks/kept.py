"""The last run of each command on each make of processor, kept in files next to this one.

What a probe costs depends on the processor, so a run on one make replaces no figure of another.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agent.overhead.machine import Machine
from agent.overhead.results import Result

FOLDER = Path(__file__).parent
FULL, TARGETS, PARTS, CLIENTS = "results", "targets", "micro", "clients"
"""The beginnings of the files' names: ``overhead --full``, ``targets``, ``micro --full``,
``clients``."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The figures of one ``micro --full`` or ``clients``, by name.

    ``started`` and ``commit`` are as in `Result`.
    """

    machine: Machine
    figures: Mapping[str, float]
    started: str = ""
    commit: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def make(machine: Machine) -> str:
    """Return the make of a processor, for example AMD or Intel, or else the architecture."""
    words = re.sub(r"\(.*?\)", "", machine.cpu_model).split()
    return words[0] if words else machine.architecture


def path(kind: str, machine: Machine, folder: Path = FOLDER) -> Path:
    """Return the file for a run of this kind on this make."""
    return folder / f"{kind}-{re.sub(r'[^a-z0-9]+', '-', make(machine).lower())}.json"


def picture(data: Path, workload: str) -> Path:
    """Return the file for a workload's picture, next to its data."""
    return data.with_name(f"{data.stem}-{workload}.svg")


def keep(kind: str, kept: Result | Parts, folder: Path = FOLDER) -> Path:
    """Write a run in place of the last one of its kind on this make, and return the file."""
    file = path(kind, kept.machine, folder)
    file.write_text(json.dumps(kept.to_json(), indent=1) + "\n")
    return file


def results(kind: str, folder: Path = FOLDER) -> dict[Path, Result]:
    """Return the kept runs of this kind (`FULL` or `TARGETS`), by file."""
    files = sorted(folder.glob(f"{kind}-*.json"))
    return {file: Result.from_json(json.loads(file.read_text())) for file in files}


def parts(folder: Path = FOLDER, kind: str = PARTS) -> list[Parts]:
    """Return the kept runs of this kind (`PARTS` or `CLIENTS`)."""
    found = [json.loads(file.read_text()) for file in sorted(folder.glob(f"{kind}-*.json"))]
    return [Parts(**{**data, "machine": Machine.from_json(data["machine"])}) for data in found]
