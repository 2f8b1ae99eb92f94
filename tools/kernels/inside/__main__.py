"""Do the named steps, and write what came of each to /results/results.json at once."""

import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.kernels.inside import demo, disks, matrix, tests
from tools.kernels.inside.news import say

RESULTS = Path("/results")
STEPS: dict[str, Callable[[Path], Any]] = {
    "demo": demo.run,
    "matrix": matrix.run,
    "matrix_full": matrix.run_all,
    "tests": tests.run,
    "disks": disks.run,
}


def about() -> dict[str, Any]:
    """Return which kernel and which user space this is."""
    return {
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "page_size": os.sysconf("SC_PAGE_SIZE"),
        "python": platform.python_version(),
        "debian": Path("/etc/debian_version").read_text().strip(),
    }


def main(steps: list[str]) -> None:
    results: dict[str, Any] = {"about": about()}
    for step in steps:
        began = time.monotonic()
        try:
            results[step] = STEPS[step](RESULTS)
        except Exception:  # noqa: BLE001 - whatever it is, it is the step's result
            results[step] = {"error": traceback.format_exc()}
            say(f"{step} failed: {traceback.format_exc()}")
        results.setdefault("seconds", {})[step] = round(time.monotonic() - began, 1)
        (RESULTS / "results.json").write_text(json.dumps(results, indent=1))
        say(f"{step}: {results['seconds'][step]} s")


if __name__ == "__main__":
    main(sys.argv[1:])
