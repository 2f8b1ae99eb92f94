"""What came of the guests, kept from run to run in booted.json."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.kernels.guest import Came
from tools.kernels.packages import Kernel
from tools.kernels.targets import DEFAULT, REST, Target

KEPT = Path(__file__).parent / "booted.json"

LONGEST_REASON = 300
"""Characters kept of a message."""

Row = dict[str, Any]
"""Of one target: ``target``, ``when``, ``commit``, ``package``, and what the guest wrote; or
``error``."""


def row_of(target: Target, when: str, commit: str) -> Row:
    """Return the row of a target that has not run yet."""
    return {"target": target.name, "when": when, "commit": commit, "suite": target.suite}


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
    if isinstance(value, str):
        return value if len(value) <= LONGEST_REASON else value[: LONGEST_REASON - 1] + "…"
    if isinstance(value, list):
        return [_cut(each) for each in value]
    if isinstance(value, dict):
        return {key: _cut(each) for key, each in value.items()}
    return value


def read(file: Path = KEPT) -> list[Row]:
    """Return the rows that are kept, or none."""
    return list(json.loads(file.read_text())) if file.exists() else []


def keep(row: Row, file: Path = KEPT) -> list[Row]:
    """Put a row in the place of the last one of its target, and return all of them."""
    others = [each for each in read(file) if each["target"] != row["target"]]
    rows = in_order([*others, row])
    file.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    return rows


def in_order(rows: Sequence[Row]) -> list[Row]:
    """Sort rows as the targets are listed; what is no target any more comes last."""
    order = {target.name: place for place, target in enumerate((*DEFAULT, *REST))}
    return sorted(rows, key=lambda row: order.get(row["target"], len(order)))


def problems(row: Mapping[str, Any]) -> list[str]:
    """Return what keeps a target from being a success, for the end of a run."""
    if "error" in row:
        return [str(row["error"])]
    found = [
        f"{step}: {row[step]['error']}"
        for step in ("demo", "matrix", "tests", "disks")
        if isinstance(row.get(step), dict) and "error" in row[step]
    ]
    if not row.get("demo", {}).get("available", True):
        found.append(f"demo: {row['demo'].get('reason')}")
    runs = row.get("matrix", [])
    if isinstance(runs, list):
        found += [f"matrix: {run['error']}" for run in runs if "error" in run]
    found += [f"tests: {name}" for name in row.get("tests", {}).get("failed", {})]
    return found
