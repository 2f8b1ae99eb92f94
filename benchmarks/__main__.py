"""``python -m benchmarks``: what collecting costs, how often a verdict or a cause is wrong."""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.client.spawn import AgentDidNotStart, running_agent
from agent.overhead.machine import Machine, read_machine
from agent.overhead.progress import ProgressLine
from agent.overhead.protocols import Missing
from agent.overhead.results import Incomparable, Result, merge
from agent.overhead.table import columns, render, render_machine
from benchmarks import kept
from benchmarks.against import Checkout, NotACheckout, checkout, measure_both
from benchmarks.cause_pairs import PAIRS
from benchmarks.causes import COMPARISONS, QUICK_COMPARISONS, Row, measure_causes
from benchmarks.causes import Rates as CauseRates
from benchmarks.causes_page import render as render_causes
from benchmarks.causes_page import write_page as write_causes
from benchmarks.chart import draw
from benchmarks.compare_power import COMPARISONS as COMPARED_EQUALS
from benchmarks.compare_power import is_met, measure_power
from benchmarks.compare_power import render as render_power
from benchmarks.comparison import (
    ENOUGH_ROUNDS,
    compare_figures,
    compare_slowdowns,
    comparison_table,
)
from benchmarks.kept_runs import SECONDS, measure_kept_runs
from benchmarks.micro import measure_parts
from benchmarks.results_page import write_page
from benchmarks.run_cost import COMMANDS as RUN_COMMANDS
from benchmarks.run_cost import QUICK_PART, measure_costs
from benchmarks.run_cost import render as render_costs
from benchmarks.suite import (
    FULL_ROUNDS,
    QUICK_ROUNDS,
    Selection,
    known_names,
    measure_all,
    measure_targets,
    versions,
)
from benchmarks.targets import ENOUGH_PAIRS, PASS, held_rows, part_rows, ratio_rows
from benchmarks.verdict_loads import LOADS
from benchmarks.verdicts import FULL_RUNS, QUICK_RUNS, Rates, measure_rates
from benchmarks.verdicts_page import render as render_rates
from benchmarks.verdicts_page import write_page as write_rates

FOLDER = Path(__file__).parent
PAGE = "RESULTS.md"
RATES = "verdicts.json"
RATES_PAGE = FOLDER.parent / "docs" / "explanation" / "false-alarms.md"
CAUSES = "causes.json"
CAUSES_PAGE = FOLDER.parent / "docs" / "explanation" / "measured-causes.md"
PAIR_NAMES = [pair.name for pair in PAIRS]
LOAD_NAMES = [load.name for load in LOADS]


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    # what loads and agents have started is ended with them, as after Ctrl-C
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        status: int = options.run(options)
    except (NotACheckout, AgentDidNotStart) as error:
        print(error, file=sys.stderr)
        return 2
    return status


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) >= 1):
        raise argparse.ArgumentTypeError("must be a whole number, at least 1")
    return int(text)


def _new_file(text: str) -> Path:
    """Refuse a path that cannot be written before the measurement rather than after it."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a directory, or is in one that does not exist")
    return path


class _Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviations, and makes such parsers for the commands."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **settings})


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m benchmarks",
        description="Measure what collecting costs, and how often a verdict is wrong.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    overhead = commands.add_parser("overhead", help="measure the overhead of each configuration")
    length = overhead.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="two minutes (the default)")
    length.add_argument("--full", action="store_true", help=f"measure everything and write {PAGE}")
    overhead.add_argument(
        "--rounds",
        type=_positive,
        help="pairs per configuration (three times as many for fio and pgbench)",
    )
    overhead.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="workloads or configurations"
    )
    overhead.add_argument(
        "--out", type=_new_file, help="write JSON to this file, and SVGs next to it"
    )
    _add_against(overhead)
    overhead.set_defaults(run=_overhead)
    held = commands.add_parser(
        "targets", help=f"measure the targets that must hold (a quarter of an hour); update {PAGE}"
    )
    held.add_argument(
        "--rounds",
        type=_positive,
        default=ENOUGH_PAIRS,
        help=f"pairs (default: %(default)s; with fewer, {PAGE} stays as it is)",
    )
    held.add_argument("--out", type=_new_file, help="write JSON to this file")
    held.set_defaults(run=_targets)
    parts = commands.add_parser("micro", help="measure fold, start, stop, memory and losses")
    parts.add_argument("--full", action="store_true", help=f"measure longer and update {PAGE}")
    parts.add_argument("--out", type=_new_file, help="write JSON to this file")
    _add_against(parts)
    parts.add_argument(
        "--rounds",
        type=_positive,
        default=ENOUGH_ROUNDS,
        help="with --against: measurements per checkout (default: %(default)s)",
    )
    parts.set_defaults(run=_micro)
    rates = commands.add_parser("verdicts", help="count false alarms under ordinary loads")
    rates.add_argument(
        "--full",
        action="store_true",
        help=f"{FULL_RUNS} runs (half an hour); write {RATES_PAGE.name}",
    )
    rates.add_argument(
        "--runs", type=_positive, help=f"total number of runs (default: {QUICK_RUNS})"
    )
    _add_choice(rates, "LOAD", LOAD_NAMES, "loads")
    rates.add_argument("--out", type=_new_file, help="write JSON to this file")
    rates.set_defaults(run=_verdicts)
    _add_causes(commands.add_parser("causes", help="count how often the right cause is named"))
    _add_run_cost(commands.add_parser("run-cost", help="measure what a command costs under run"))
    _add_compare_power(
        commands.add_parser("compare-power", help="count what comparisons decide, and how rightly")
    )
    keeping = commands.add_parser(
        "kept-runs", help="measure whether --data-dir slows fio and pgbench (half an hour)"
    )
    keeping.add_argument("--seconds", type=_positive, default=SECONDS, help="length of a run")
    keeping.add_argument("--rounds", type=_positive, default=ENOUGH_ROUNDS, help="pairs")
    keeping.set_defaults(run=_kept_runs)
    joined = commands.add_parser("merge", help="combine several results from one machine")
    joined.add_argument("files", metavar="FILE", nargs="+", type=Path, help="results as JSON")
    joined.add_argument("--out", type=_new_file, help="write the combined result to this file")
    joined.set_defaults(run=_merge)
    return parser


def _add_compare_power(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--comparisons",
        type=_positive,
        default=COMPARED_EQUALS,
        help="of equal commands (default: %(default)s, which takes ten minutes)",
    )
    command.add_argument("--out", type=_new_file, help="write JSON to this file")
    command.set_defaults(run=_compare_power)


def _add_against(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--against",
        type=Path,
        metavar="PATH",
        help="another checkout; its agent and this one are measured alternately",
    )


def _add_choice(
    command: argparse.ArgumentParser, kind: str, names: Sequence[str], which: str
) -> None:
    command.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar=kind,
        choices=names,
        help=f"{which}: {', '.join(names)}",
    )


def _add_causes(command: argparse.ArgumentParser) -> None:
    length = command.add_mutually_exclusive_group()
    length.add_argument(
        "--comparisons",
        type=_positive,
        default=COMPARISONS,
        help=f"of each pair of programs (default: {COMPARISONS}, which takes 25 minutes in all; "
        f"with fewer, {CAUSES_PAGE.name} stays as it is)",
    )
    length.add_argument(
        "--quick",
        dest="comparisons",
        action="store_const",
        const=QUICK_COMPARISONS,
        help=f"{QUICK_COMPARISONS} comparisons of each",
    )
    _add_choice(command, "PAIR", PAIR_NAMES, "go on with these pairs of programs")
    command.add_argument("--out", type=_new_file, help="write the comparisons to this file")
    command.set_defaults(run=_causes)


def _add_run_cost(command: argparse.ArgumentParser) -> None:
    names = [one.name for one in RUN_COMMANDS]
    command.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="COMMAND",
        choices=names,
        help=f"commands: {', '.join(names)}",
    )
    command.add_argument(
        "--quick",
        dest="part",
        action="store_const",
        const=QUICK_PART,
        default=1.0,
        help="a minute instead of five",
    )
    command.set_defaults(run=_run_cost)


def _overhead(options: argparse.Namespace) -> int:
    against = checkout(options.against) if options.against else None
    if refusal := known_names(against).refuse(options.only, options.full):
        print(refusal, file=sys.stderr)
        return 2
    rounds = options.rounds or (FULL_ROUNDS if options.full else QUICK_ROUNDS)
    selection = Selection(options.full, rounds, frozenset(options.only), against)
    result = measure_all(selection, ProgressLine(sys.stderr), _tell)
    if options.out:
        _write(result, options.out)
    if against:
        return _show_comparison(result, against)
    _show(result)
    if options.full and not options.only:
        _draw(result, kept.keep(kept.FULL, result))
        (FOLDER / PAGE).write_text(page())
    return 0 if result.workloads else 1


def _targets(options: argparse.Namespace) -> int:
    """Return 0 if all targets are met."""
    result = measure_targets(options.rounds, ProgressLine(sys.stderr), _tell)
    if options.out:
        _write(result, options.out)
    _show(result)
    rows = held_rows(result)
    if options.rounds >= ENOUGH_PAIRS and result.workloads:
        kept.keep(kept.TARGETS, result)
        (FOLDER / PAGE).write_text(page())
    return 0 if all(row.verdict == PASS for row in rows) else 1


def _micro(options: argparse.Namespace) -> int:
    if options.against:
        return _micro_against(options, checkout(options.against))
    machine, started = read_machine(versions()), datetime.now(UTC).isoformat(timespec="seconds")
    figures = measure_parts(options.full, _tell)
    rows = [(row.text, row.limit, row.found, row.verdict) for row in part_rows(figures)]
    print("\n".join(columns([("", "limit", "measured", ""), *rows])))
    parts = kept.Parts(machine, figures, started, checkout().commit)
    if options.out:
        options.out.write_text(json.dumps(parts.to_json(), indent=1) + "\n")
    if options.full:
        kept.keep(kept.PARTS, parts)
        (FOLDER / PAGE).write_text(page())
    return 0


def _micro_against(options: argparse.Namespace, other: Checkout) -> int:
    this, machine = checkout(), read_machine(versions(other))
    new, old = measure_both(this, other, options.full, options.rounds, _tell)
    print(_sides(other))
    print("\n".join(columns(comparison_table(compare_figures(new, old)))))
    if options.out:
        sides = {"machine": asdict(machine), "new": new, "old": old}
        options.out.write_text(json.dumps(sides, indent=1) + "\n")
    return 0


def _verdicts(options: argparse.Namespace) -> int:
    runs = options.runs or (FULL_RUNS if options.full else QUICK_RUNS)
    machine = read_machine(versions())
    with running_agent() as agent:
        rates = measure_rates(agent, runs, options.only, _tell)
    print(render_rates(rates), end="")
    text = json.dumps({"machine": asdict(machine), "rates": rates.to_json()}, indent=1) + "\n"
    if options.out:
        options.out.write_text(text)
    if options.full and not options.only:
        (FOLDER / RATES).write_text(text)
        RATES_PAGE.write_text(rates_page())
    return 0 if rates.rows else 1


def _causes(options: argparse.Namespace) -> int:
    """Return 0 if no wrong cause was named, and each right one often enough.

    After each pair of programs all is written, so that what is interrupted can be gone on with.
    """
    machine, commit = read_machine(versions()), checkout().commit
    chosen = [pair for pair in PAIRS if not options.only or pair.name in options.only]
    is_kept = options.comparisons >= COMPARISONS
    whole, made = _kept_causes(machine) if is_kept else CauseRates(), CauseRates()

    def keep(found: Row | tuple[str, Missing]) -> None:
        nonlocal whole, made
        whole, made = (
            rates.with_row(found) if isinstance(found, Row) else rates.without(*found)
            for rates in (whole, made)
        )
        if is_kept:
            (FOLDER / CAUSES).write_text(_causes_text(machine, whole))
            CAUSES_PAGE.write_text(causes_page())
        if options.out:
            options.out.write_text(_causes_text(machine, made))

    with running_agent() as agent:
        measure_causes(
            agent, chosen, options.comparisons, commit, ProgressLine(sys.stderr), _tell, keep
        )
    print(render_causes(made), end="")
    return 0 if made.rows and all(row.is_met and not row.wrong for row in made.rows) else 1


def _causes_text(machine: Machine, rates: CauseRates) -> str:
    return json.dumps({"machine": asdict(machine), "rates": rates.to_json()}, indent=1) + "\n"


def _kept_causes(machine: Machine) -> CauseRates:
    """Return the comparisons of earlier runs on this machine."""
    data = _read(CAUSES)
    if not data or Machine.from_json(data["machine"]) != machine:
        return CauseRates()
    return CauseRates.from_json(data["rates"])


def _run_cost(options: argparse.Namespace) -> int:
    """Return 0 if all commands that were chosen could be measured."""
    machine = read_machine(versions())
    chosen = [one for one in RUN_COMMANDS if not options.only or one.name in options.only]
    with running_agent() as agent:
        costs = measure_costs(agent, chosen, options.part, ProgressLine(sys.stderr))
    print(f"{render_machine(machine)}\n\n{render_costs(costs)}", end="")
    return 1 if costs.missing else 0


def _compare_power(options: argparse.Namespace) -> int:
    with running_agent() as agent:
        report = measure_power(agent, options.comparisons)
    if options.out:
        machine = asdict(read_machine(versions()))
        text = json.dumps({"machine": machine, "power": report.to_json()}, indent=1) + "\n"
        options.out.write_text(text)
    print(render_power(report), end="")
    return 0 if is_met(report) else 1


def _kept_runs(options: argparse.Namespace) -> int:
    """Return 0 if keeping runs made no difference, or one within the noise."""
    results = measure_kept_runs(options.seconds, options.rounds, ProgressLine(sys.stderr), _tell)
    compared = [found for workload in results for found in compare_slowdowns(workload)]
    print("\n".join(columns([*comparison_table(compared)])))
    return 0 if compared and all("no difference" in found.verdict for found in compared) else 1


def _merge(options: argparse.Namespace) -> int:
    try:
        results = [_result(path) for path in options.files]
        result = results[0]
        for other in results[1:]:
            result = merge(result, other)
    except (Incomparable, _Unreadable) as error:
        print(error, file=sys.stderr)
        return 1
    _show(result)
    if options.out:
        _write(result, options.out)
    return 0


class _Unreadable(Exception):
    """A file holds no results; the text says which file and why."""


def _result(path: Path) -> Result:
    try:
        return Result.from_json(json.loads(path.read_text()))
    except OSError as error:
        raise _Unreadable(f"{path}: {error.strerror}") from error
    except Incomparable as error:
        raise _Unreadable(f"{path}: {error}") from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise _Unreadable(f"{path} holds no results of overhead --out") from error


def _show(result: Result) -> None:
    print(render(result))
    targets = held_rows(result) + ratio_rows(result)
    rows = [(row.text, row.limit, row.found, row.verdict) for row in targets]
    print("\n".join(columns([("", "limit", "measured", ""), *rows])))


def _show_comparison(result: Result, other: Checkout) -> int:
    """Print a comparison and return the exit status: 1 if nothing could be compared."""
    compared = [found for workload in result.workloads for found in compare_slowdowns(workload)]
    print(render(result))
    print(_sides(other))
    print("\n".join(columns(comparison_table(compared))))
    return 0 if compared else 1


def _sides(other: Checkout) -> str:
    this = checkout()
    return f"new: {this.path} ({this.commit}), old: {other.path} ({other.commit})"


def _write(result: Result, path: Path) -> None:
    """Write the JSON, and one picture per workload next to it."""
    path.write_text(json.dumps(result.to_json(), indent=1) + "\n")
    _draw(result, path)


def _draw(result: Result, path: Path) -> None:
    """Write one picture per workload next to the JSON."""
    for workload in result.workloads:
        _picture(path, workload.name).write_text(draw(result, workload))


def _picture(data: Path, workload: str) -> Path:
    return data.with_name(f"{data.stem}-{workload}.svg")


def page() -> str:
    """Return the text of RESULTS.md, made from the last runs on each make of processor."""
    full, targets = kept.results(kept.FULL), kept.results(kept.TARGETS)
    pictures = [
        _picture(file, workload.name).name
        for file, result in full.items()
        for workload in result.workloads
    ]
    return write_page([*full.values()], [*targets.values()], kept.parts(), pictures)


def rates_page() -> str:
    """Return the text of the page on false alarms, made from the last full run."""
    data = _read(RATES)
    return write_rates(Rates.from_json(data["rates"]), render_machine(Machine(**data["machine"])))


def causes_page() -> str:
    """Return the text of the page on named causes, made from the comparisons that are kept."""
    data = _read(CAUSES)
    machine = render_machine(Machine.from_json(data["machine"]))
    return write_causes(CauseRates.from_json(data["rates"]), machine)


def _read(name: str) -> dict[str, Any]:
    """Return the data of a full run, or an empty dict before the first one."""
    path = FOLDER / name
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
