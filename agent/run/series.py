"""``chainbench-agent run --runs``: commands run again and again, each time with evidence around.

The loop is here; what the runs say together is in `agent.run.document`.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

from agent.client.http_client import AgentRefused, AgentUnreachable
from agent.client.shell_words import hint
from agent.exit_status import OWN_FAILURE, how_it_ended, signal_name
from agent.run import processes, signals
from agent.run.around import Around
from agent.run.command import described, die_of
from agent.run.held import CannotRun, Ended, HeldCommand, find, held
from agent.run.helpers import HelperFailed, run_helper
from agent.run.hyperfine import exported
from agent.run.keeping import keep
from agent.run.options import Options
from agent.run.progress import Progress
from agent.run.runs import End, Run, pairs_of
from agent.run.series_plan import FEWEST_UNTIL, SeriesPlan
from agent.run.telling import Teller
from agent.statistics.sample import median_interval
from agent.terminal.output import OutputFailed
from agent.words import Json

LABELS = ("impl", "variant", "commit", "dataset")
"""What a report has in common with a start."""
INPUT, OUTPUTS = (0,), (1, 2)


class _Early(Exception):
    """The series ends before its time: how, and with which status (or minus a signal's number)."""

    def __init__(self, rule: str, why: str, status: int) -> None:
        super().__init__(why)
        self.end = End(rule, why)
        self.status = status


def run_series(plan: SeriesPlan, options: Options) -> int:
    """Run the commands, print what they took and what the agent saw; return an exit status.

    It is 0 after a whole series; else that of the run that failed, or 125 if a helper failed. If a
    signal ended the series or killed a run that failed, this process dies of the same.
    """
    teller = Teller("run", options)
    if teller.refuses_files(plan.export_json):
        return OWN_FAILURE
    series = _Series(plan, options, teller)
    try:
        document = series.run()
    except CannotRun as error:
        shell = " (no shell runs it, unless --shell is given)"
        teller.say(f"{error}{shell if any(map(hint, plan.sides.values())) else ''}")
        return error.status
    except signals.Interrupted as error:
        teller.say("interrupted")
        return die_of(error.number)
    if plan.export_json is not None:
        results = json.dumps(exported(plan, series.runs), indent=2) + "\n"
        teller.save(plan.export_json, results)
    with contextlib.suppress(OutputFailed):  # it could not be reported anywhere
        teller.report(document, sys.stderr)
    keep(document, options, teller)
    teller.draw(document)
    return series.status if series.status >= 0 else die_of(-series.status)


class _Series:
    """``status`` is that of the series so far: an exit status, or minus a signal's number."""

    def __init__(self, plan: SeriesPlan, options: Options, teller: Teller) -> None:
        self.runs: list[Run] = []
        self.status = 0
        self._plan = plan
        self._options = options
        self._teller = teller
        self._progress = Progress(plan, None if options.quiet else sys.stderr)
        self._around = Around(options, self._busy, self._missing, self._slow)
        self._told: set[str] = set()
        self._end = End("runs")

    def run(self) -> Json:
        """Return what the runs say. Raises `CannotRun`, or `Interrupted` before the first run."""
        paths = {side: find(words[0]) for side, words in self._plan.sides.items()}
        with signals.interrupting(), ExitStack() as after_all, ExitStack() as stack:
            processes.adopt_orphans()
            self._around.find_agent(stack, self._teller.closed)
            with self._ending():
                self._helper("setup", self._plan.helpers.setup)
                with self._ending():
                    self._rounds(paths)
                self._helper("cleanup", self._plan.helpers.cleanup)
            # a second Ctrl-C shall not cost the result, also until our own agent has ended
            after_all.enter_context(signals.dropped())
            self._progress.clear()
            # numpy is imported after the commands have ended: it would enlarge each fork
            from agent.run.document import document_of

            document = document_of(self._plan, self.runs, self._end)
            if not self._end.why:
                self._report(document)
            return document

    @contextlib.contextmanager
    def _ending(self) -> Iterator[None]:
        """Go on after this block whatever ends it; what came first is why the series ended."""
        try:
            yield
        except _Early as early:
            self._ends(early.end, early.status)
        except CannotRun as error:
            self._ends(End("failure", str(error)), error.status)
        except signals.Interrupted as error:
            end = End("signal", f"ended by {signal_name(error.number)}")
            self._ends(end, -error.number, error.open_run)

    def _ends(self, end: End, status: int, open_run: str = "") -> None:
        self._progress.clear()
        self._teller.say(f"{end.why}{open_run}")
        if not self._end.why:
            self._end, self.status = end, status

    def _rounds(self, paths: Mapping[str, str]) -> None:
        for _ in range(self._plan.warmup):
            for side in self._plan.sides:
                self._one(side, paths[side], None)
        self._around.rehearse(os.getpid())
        for number, order in enumerate(self._plan.rounds()):
            for side in order:
                self._one(side, paths[side], number)
            if self._is_narrow_enough():
                self._end = End("until")
                return
        self._end = End("runs" if self._plan.until is None else "max_runs")

    def _one(self, side: str, path: str, number: int | None) -> None:
        """Run a command, with the helpers around it; for warming up if it has no number."""
        helpers = self._plan.helpers
        self._progress.show(self._seconds())
        self._helper("prepare", helpers.prepare)
        if number is None:
            ended = self._warm_up(side, path)
        else:
            ended = self._measure(side, path, number)
        try:
            self._helper("conclude", helpers.conclude)
        finally:
            if ended.status and not self._plan.ignore_failure:
                raise self._failed(side, ended, number)

    def _warm_up(self, side: str, path: str) -> Ended:
        with self._held(side, path) as command:
            with signals.blocked():
                ended = command.run(lambda: self._around.reap(command.pid))
                asked = signals.gave_up(command.received)
            if asked is not None:
                raise signals.Interrupted(asked)
            return ended

    def _measure(self, side: str, path: str, number: int) -> Ended:
        """Run a command with a run of the agent around it, and keep what it took and showed."""
        words = self._plan.sides[side]
        with ExitStack() as stack:
            command = stack.enter_context(self._held(side, path))
            labels = {"scenario": side} if self._plan.compares else None
            run, why_not = self._around.start(stack, command, labels)
            self._tell_why_not(why_not)
            # a signal shall not part a run from its evidence
            with signals.blocked():
                ended = command.run(lambda: self._around.reap(command.pid))
                took = described(words, ended, self._around.left_behind())
                evidence = self._around.evidence_of(run, why_not, command, labels)
                if evidence.get("available") is False:  # which the report only counts
                    self._tell_why_not(str(evidence.get("reason", "")))
                asked = signals.gave_up(command.received)
                counts = asked is None and (ended.status == 0 or self._plan.ignore_failure)
                self.runs.append(Run(side, number, counts, ended, took, evidence))
            if asked is not None:
                raise signals.Interrupted(asked)
            return ended

    def _held(self, side: str, path: str) -> contextlib.AbstractContextManager[HeldCommand]:
        return held(path, self._plan.sides[side], self._discarded, self._options.user)

    @property
    def _discarded(self) -> Sequence[int]:
        return INPUT if self._plan.show_output else INPUT + OUTPUTS

    def _failed(self, side: str, ended: Ended, number: int | None) -> _Early:
        which = "the warm-up" if number is None else f"run {number + 1}"
        what = "the command" if not self._plan.compares else side
        cure = "--ignore-failure goes on, --show-output shows what it says"
        return _Early(
            "failure", f"{what} {how_it_ended(ended.status)} in {which} ({cure})", ended.status
        )

    def _helper(self, option: str, words: Sequence[str]) -> None:
        try:
            run_helper(option, words, self._plan.show_output)
        except HelperFailed as error:
            raise _Early("helper", str(error), OWN_FAILURE) from error

    def _seconds(self) -> dict[str, list[float]]:
        return {
            side: [run.ended.wall_s for run in self.runs if run.counts and run.side == side]
            for side in self._plan.sides
        }

    def _is_narrow_enough(self) -> bool:
        """Return whether the interval is narrow enough. Neither sign nor p value has a say."""
        seconds = self._seconds()
        if self._plan.until is None or min(map(len, seconds.values())) < FEWEST_UNTIL:
            return False
        if self._plan.compares:
            from agent.statistics.comparison import relative_shift

            pairs = pairs_of(self.runs)
            before, after = ([run.wall_ms for run in side] for side in zip(*pairs, strict=True))
            return relative_shift(before, after).estimate.half_width <= self._plan.until
        [only] = seconds.values()
        median = median_interval(only)
        return median.half_width <= self._plan.until * median.middle

    def _report(self, document: Json) -> None:
        """Report the result of a comparison to an agent that shows it to others."""
        agent, found = self._around.shared_agent, document.get("comparison")
        if agent is None or found is None:
            return
        succeeded = {
            f"{side}_success": sum(r.side == side and r.ended.status == 0 for r in self.runs)
            for side in self._plan.sides
        }
        body = {
            **{name: self._options.start[name] for name in LABELS if name in self._options.start},
            "baseline_ms": found["baseline_ms"]["middle"],
            "optimized_ms": found["optimized_ms"]["middle"],
            "gain_pct": found["gain_pct"]["middle"],
            **succeeded,
        }
        try:
            agent.post("/report", body)
        except (AgentRefused, AgentUnreachable) as error:
            self._teller.say(f"the agent did not take the result: {error}")

    def _tell_why_not(self, why: str) -> None:
        """Say once why there is no evidence; nothing if the reason is empty."""
        if why and why not in self._told:
            self._told.add(why)
            self._progress.clear()
            which = " of this run or any later one" if self._around.gave_up else ""
            self._teller.no_evidence(why, which)

    def _busy(self, other: str) -> None:
        self._progress.clear()
        self._teller.busy(other)

    def _missing(self, why: str) -> None:
        self._progress.clear()
        self._teller.missing(why)

    def _slow(self, what: str) -> None:
        self._progress.clear()
        self._teller.slow(what)
