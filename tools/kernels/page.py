"""docs/reference/kernels.md: which kernels were booted, and what came of it."""

import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tools.kernels.inside.tests import OTHERS
from tools.kernels.results import Row, was_started
from tools.kernels.targets import DEFAULT, REST

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "kernels.md"
COLUMNS = 100

INTRODUCTION = """# Kernels

Written by `tox -e kernels` ([how](../how-to/booting-kernels.md)), which boots kernels of Debian
under QEMU. Each row is what the last boot with results gave, with the commit of the agent that was
tried; a kernel without a row was not tried. Which of the agent's features other kernels have is
probed when it starts, and `/status` and the evidence say what is missing."""

EMULATED = """The processors are emulated, so no row says anything about speed, and a few checks
that compare times fail: the host takes a virtual CPU away in the middle of what is timed. The
verdicts are therefore listed with their reasons. The matrix is short runs of all six sections with
either timing, transport and scope (the machine; a process or a cgroup), and with all details or
none."""

NOT_RUN = "not run"
DISKS = "Disks that lie on other disks"
ONLY_DISKS = f"only [disks](#{DISKS.lower().replace(' ', '-')})"
IN_A_WORD = re.compile(r"\w*…\w+|\w+…")
HEADER = ("kernel", "machine", "user space", "demo", "matrix", "kernel tests", "tried")


def write(rows: Sequence[Row], file: Path = PAGE) -> None:
    file.write_text(text(rows))


def text(rows: Sequence[Row]) -> str:
    """Return the page in Markdown."""
    parts = [INTRODUCTION, "## Booted", table(rows), wrapped(f"{EMULATED} {emulators(rows)}")]
    for title, lines in (
        ("What was missing", _lines(rows, missing)),
        ("Reasons of verdicts", _lines(rows, reasons)),
        ("Kernel tests", _tests(rows)),
        (DISKS, _lines(rows, disks)),
        ("Not tried", [_not_tried(rows)]),
    ):
        if any(lines):
            parts += [f"## {title}", "\n".join(map(item, filter(None, lines)))]
    return "\n\n".join(parts) + "\n"


def emulators(rows: Sequence[Row]) -> str:
    names = dict.fromkeys(row["emulator"] for row in rows if "emulator" in row)
    return f"Emulated by {', '.join(names)}." if names else ""


def table(rows: Sequence[Row]) -> str:
    lines = [[*HEADER], ["---"] * len(HEADER), *map(cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cells(row: Row) -> list[str]:
    """Return a target's line of the table."""
    tried = f"{row['when']}, `{row['commit']}`"
    if "error" in row:
        name = str(row.get("package") or row["target"])
        return [name, "", "", _failure(row).replace("|", "\\|"), "", "", tried]
    about, demo = row["about"], row.get("demo", {})
    versions = demo.get("versions", {})
    bcc = f", bcc {versions['bcc']}" if versions.get("bcc") else ""
    return [
        f"{row['target']}: {about['kernel']} (`{row['package']}`)",
        f"{about['machine']}, {_cpus(about['cpus'])}, pages of {about['page_size'] // 1024} KiB",
        f"Debian {about['debian']}, Python {about['python']}{bcc}",
        *_steps_cells(row),
        tried,
    ]


def _steps_cells(row: Row) -> list[str]:
    """Return the cells of what was run; of a target that is for disks alone, that in one."""
    if not any(step in row for step in ("demo", "matrix", "tests")) and "disks" in row:
        return [ONLY_DISKS, "", ""]
    return [
        demo_cell(row.get("demo", {})),
        matrix_cell(row.get("matrix", [])),
        tests_cell(row.get("tests", {})),
    ]


def _failure(row: Row) -> str:
    """Return what happened instead of results."""
    said = row["error"].splitlines()[0].removesuffix("; its console ends with:")
    return f"started: {said}" if was_started(row) else f"not tried: {said}"


def _cpus(count: int) -> str:
    return "1 CPU" if count == 1 else f"{count} CPUs"


def demo_cell(demo: dict[str, Any]) -> str:
    if not demo:
        return NOT_RUN
    if "error" in demo:
        return "failed"
    if not demo["available"]:
        return "nothing measured"
    return f"{len(demo['sections'])} of 5 sections, `{demo['verdict']}`"


def matrix_cell(runs: Any) -> str:
    if not runs:
        return NOT_RUN
    if isinstance(runs, dict):
        return "failed"
    whole = sum(not (run.get("error") or run["unavailable"] or run["missed"]) for run in runs)
    verdicts = Counter(run.get("verdict", "no answer") for run in runs)
    counted = ", ".join(f"{count} `{verdict}`" for verdict, count in sorted(verdicts.items()))
    return f"{whole} of {len(runs)} runs have everything; {counted}"


def tests_cell(tests: dict[str, Any]) -> str:
    if not tests:
        return NOT_RUN
    if "error" in tests:
        return "failed"
    return (
        f"{tests['passed']} passed, {len(tests['failed'])} failed, "
        f"{len(tests['skipped'])} skipped, {len(tests['left_out'])} left out"
        f"{'; ' + tests['cut_off'] if 'cut_off' in tests else ''}"
    )


def _lines(rows: Iterable[Row], of: Callable[[Row], Iterator[str]]) -> list[str]:
    return [f"{_name(row)}: {line}" for row in rows if "error" not in row for line in of(row)]


def _name(row: Row) -> str:
    return f"**{row['target']}** ({row['about']['kernel']})"


def _measured(row: Row) -> list[dict[str, Any]]:
    """Return what the demo's and the matrix's runs say in short."""
    runs = row.get("matrix", [])
    return [
        run
        for run in (row.get("demo", {}), *(runs if isinstance(runs, list) else []))
        if run and "error" not in run
    ]


def missing(row: Row) -> Iterator[str]:
    """Yield what was asked for and not measured, with its reason, and in how many runs."""
    runs = _measured(row)
    said = Counter(
        f"`{name}`: {_line(why)}" for run in runs for name, why in run["unavailable"].items()
    )
    said.update(f"nothing: {_line(run['reason'])}" for run in runs if not run["available"])
    said.update(_line(what) for run in runs for what in run.get("missed", ()))
    for what, count in sorted(said.items()):
        yield f"{what} ({count} of {len(runs)} runs)"
    for panic in row.get("panics", []):
        yield f"an earlier boot of the same ended with “{_line(panic)}”"
    if "later" in row:
        later = row["later"]
        tried = f"{later['when']} with `{later['commit']}`"
        yield f"everything, when it was tried again on {tried}: {_failure(later)}"
    matrix = row.get("matrix", [])
    for step in (row.get("demo", {}), *([matrix] if isinstance(matrix, dict) else matrix)):
        if "error" in step:
            yield f"nothing, because of an error: {_line(step['error'])}"


def reasons(row: Row) -> Iterator[str]:
    """Yield in how many runs each reason of a verdict was given, with one such text."""
    runs = _measured(row)
    texts: dict[str, list[str]] = {}
    for run in runs:
        for why in run["reasons"]:
            texts.setdefault(_kind(why), []).append(_line(why))
    for kind, found in sorted(texts.items()):
        yield f"{kind} in {len(found)} of {len(runs)} runs, for example “{found[0]}”"


def _kind(why: str) -> str:
    """Return a reason's code, with what it is about if that is a single word, as a check's name."""
    code, *rest = why.split(": ", 2)
    about = f" ({rest[0]})" if len(rest) > 1 and " " not in rest[0] else ""
    return f"`{code}`{about}"


def tests(row: Row) -> Iterator[str]:
    """Yield a line for each way in which tests did not pass, with the tests that it is true of."""
    found = row.get("tests", {})
    for kind in ("failed", "skipped", "left_out"):
        by_reason: dict[str, list[str]] = {}
        for name, why in sorted(found.get(kind, {}).items()):
            by_reason.setdefault(_line(why), []).append(name)
        for why, names in by_reason.items():
            yield f"{kind.replace('_', ' ')}: {_by_file(names)}: {why}"


def _by_file(names: Iterable[str]) -> str:
    """Return tests by file: an id with its file may be wider than a page."""
    files: dict[str, list[str]] = {}
    for name in names:
        file, _, test = name.partition("::")
        files.setdefault(file, []).append(f"`{test}`")
    return "; ".join(f"`kernel/{file}` {', '.join(tests)}" for file, tests in files.items())


def _tests(rows: Sequence[Row]) -> list[str]:
    found = _lines(rows, tests)
    return [*found, OTHERS] if any("tests" in row for row in rows) else []


def disks(row: Row) -> Iterator[str]:
    of_disks = row.get("disks", [])
    if isinstance(of_disks, dict):
        yield f"nothing, because of an error: {_line(of_disks['error'])}"
        return
    for found in of_disks:
        own = [each for each in found["devices"] if each["device"] == found["device"]]
        for each in own:
            below = ", ".join(each["lies_on"] or []) or "unknown disks"
            yield (
                f"{found['kind']}: {found['writes']} writes; measured by "
                f"{each['measured_by'] or 'nothing, because'} it lies on {below}; "
                f"verdict `{found['verdict']}`"
            )


def _not_tried(rows: Sequence[Row]) -> str:
    tried = {row["target"] for row in rows if "error" not in row or was_started(row)}
    names = [target.name for target in (*DEFAULT, *REST) if target.name not in tried]
    return f"Targets of `tox -e kernels` that were not booted: {', '.join(names)}." if names else ""


def _line(text: str) -> str:
    """Return a message in one line, without words that were cut in two where it was shortened."""
    return " ".join(IN_A_WORD.sub(" … ", text).split())


def item(line: str) -> str:
    return wrapped(f"* {line}", "  ")


def wrapped(prose: str, indent: str = "") -> str:
    return textwrap.fill(
        " ".join(prose.split()),
        COLUMNS,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
