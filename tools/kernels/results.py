"""What came of the guests, kept from run to run in booted.json."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from tools.kernels.guest import Came
from tools.kernels.inside.choices import Choice
from tools.kernels.packages import Kernel
from tools.kernels.targets import DEFAULT, REST, Target

KEPT = Path(__file__).parent / "booted.json"

CHOICES = [field.name for field in fields(Choice)]
USABLE = ("complete", "degraded")
"""Verdicts on evidence that is worth something."""

LONGEST_REASON = 300
"""Characters kept of a message: half of them from its end, where the verifier says what it is."""

Row = dict[str, Any]
"""Of one target: ``target``, ``when``, ``commit``, ``package``, and what the guest wrote; or
``error``. With ``later``, the row of a later try that gave no results."""


def row_of(target: Target, when: str, commit: str) -> Row:
    """Return the row of a target that has not run yet."""
    return {
        "target": target.name,
        "when": when,
        "commit": commit,
        "suite": target.suite,
        "steps": list(target.steps),
        "lacks": list(target.lacks),
    }


def of_kernel(kernel: Kernel, emulator: str) -> Row:
    package = kernel.package
    return {"package": f"{package.name} {package.version}", "emulator": emulator}


def of_guest(came: Came) -> Row:
    """Return what a guest wrote, with long messages cut. Raises OSError or ValueError."""
    written = json.loads((came.folder / "results.json").read_text())
    if "matrix_full" in written:
        written["matrix"] = written.pop("matrix_full")
    cut: Row = _cut(written)
    return {"boot_seconds": round(came.seconds), "panics": list(came.panics), **cut}


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > LONGEST_REASON:
        half = LONGEST_REASON // 2
        return f"{_whole_words(value[: half - 2], -1)} … {_whole_words(value[1 - half :], 0)}"
    if isinstance(value, list):
        return [_cut(each) for each in value]
    if isinstance(value, dict):
        return {key: _cut(each) for key, each in value.items()}
    return value


def _whole_words(text: str, cut: int) -> str:
    """Return text without its first word (0) or last (-1), of which a part was cut off."""
    words = text.split(" ")
    del words[cut]
    return " ".join(words) or text


def read(file: Path = KEPT) -> list[Row]:
    """Return the rows that are kept, or none."""
    return list(json.loads(file.read_text())) if file.exists() else []


def keep(row: Row, file: Path = KEPT) -> list[Row]:
    """Put a row in the place of the last one of its target, and return all of them.

    One without results replaces none that has some: it is kept beside it.
    """
    rows = read(file)
    others = [each for each in rows if each["target"] != row["target"]]
    before = next((each for each in rows if each["target"] == row["target"]), row)
    if "error" in row and "error" not in before:
        row = {**before, "later": row}
    rows = in_order([*others, row])
    file.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    return rows


def in_order(rows: Sequence[Row]) -> list[Row]:
    """Sort rows as the targets are listed; what is no target any more comes last."""
    order = {target.name: place for place, target in enumerate((*DEFAULT, *REST))}
    return sorted(rows, key=lambda row: order.get(row["target"], len(order)))


def was_started(row: Mapping[str, Any]) -> bool:
    """Return whether there was a guest: what comes before it may fail as well."""
    return "emulator" in row


def problems(row: Mapping[str, Any]) -> list[str]:
    """Return what keeps a target from being a success, for the end of a run.

    A verdict that is degraded is none: where processors are emulated, checks of times may fail.
    """
    if "error" in row:
        return [str(row["error"])]
    found = [f"{step}: nothing came of it" for step in _steps(row) if step not in row]
    for step in ("demo", "matrix", "disks"):
        came = row.get(step, [])
        runs = came if isinstance(came, list) else [came]
        lacks = row.get("lacks", ())
        found += [f"{_title(step, run)}: {what}" for run in runs for what in _of_run(run, lacks)]
    return found + [f"tests: {what}" for what in _of_tests(row.get("tests", {}))]


def _steps(row: Mapping[str, Any]) -> list[str]:
    return [step.removesuffix("_full") for step in row.get("steps", ())]


def _title(step: str, run: Mapping[str, Any]) -> str:
    choices = [run[name] for name in (*CHOICES, "kind") if name in run]
    return f"{step} ({', '.join(choices)})" if choices else step


def _of_run(run: Mapping[str, Any], lacks: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with a run of the demo, of the matrix, or on a disk.

    What its kernel ``lacks`` is not, if the run gives the reason.
    """
    if "error" in run:
        yield run["error"]
        return
    if not run["available"]:
        yield str(run["reason"])
    elif run["verdict"] not in USABLE:
        yield f"{run['verdict']}: {'; '.join(run['reasons'])}"
    missing = run["unavailable"].items()
    yield from (f"{name}: {why}" for name, why in missing if name not in lacks or not why)
    yield from run.get("missed", ())
    if run.get("exit_status"):
        yield f"exited with status {run['exit_status']}"
    if "device" in run and all(each["device"] != run["device"] for each in run["devices"]):
        yield f"the evidence has no device {run['device']}"
    yield from (f"check failed: {name}" for name, good in run.get("checks", {}).items() if not good)


def _of_tests(tests: Mapping[str, Any]) -> Iterator[str]:
    if "error" in tests:
        yield tests["error"]
    elif tests:
        yield from tests["failed"]
        if "cut_off" in tests:
            yield tests["cut_off"]
        if not tests["passed"]:
            yield "none passed"
