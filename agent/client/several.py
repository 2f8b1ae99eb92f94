"""One run over several agents: all of them begin before the workload, all end after it.

The agent on the workload's own machine measures what it is asked to, the workload's processes as a
rule; every other one measures its whole machine meanwhile. The kernel's boot id tells which one is
on this machine: an address may be that of a tunnel. What happens to one agent costs no other its
evidence.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from agent.client.finding import NoAgent, status_of_ours
from agent.client.http_client import AgentClient
from agent.client.one_run import NOT_BEGUN, Fetching, NotMeasured, OneRun, Starting, start
from agent.client.open_runs import is_left_open, which_run
from agent.this_machine import boot_id
from agent.words import Json

Check = Callable[[Mapping[str, Any]], None]
"""Looks at the answer to a start; raises `NotMeasured` if the run is not about the workload."""


class Member:
    """One of several agents.

    ``why_not`` says why it takes no part, also in runs to come: each would have to wait as long. It
    is empty while the agent does.
    """

    def __init__(self, url: str, timeout_s: float | None = None) -> None:
        self.agent = AgentClient.named(url, timeout_s)
        self.machine = ""
        self.boot_id = ""
        self.is_here = False
        self.why_not = ""

    @property
    def name(self) -> str:
        return f"{self.machine} ({self.agent.url})" if self.machine else self.agent.url

    def introduce(self) -> None:
        """Ask the agent which machine it is on."""
        if status := self._status():
            self.machine, self.boot_id = str(status["machine"]), str(status.get("boot_id") or "")
            self.agent.allow_compiling(status.get("compile_deadline_s"))

    def run_in_progress(self) -> Json:
        """Return the agent's status if it has a run; else nothing, also if it does not answer."""
        status = self._status()
        return status if status.get("running") else {}

    def _status(self) -> Json:
        try:
            return status_of_ours(self.agent.url)
        except NoAgent as error:
            self.why_not = str(error)
            return {}


def members_at(urls: Sequence[str], timeout_s: float | None = None) -> list[Member]:
    """Return an agent for each URL, in the order of their machines' names.

    All clients take them in that order, so that of two that want the same ones the same is first.
    Of several on this machine, the first that was named measures the workload. Raises `NoAgent` if
    none of them answers, and ValueError for a URL that cannot be that of an agent.
    """
    members = [Member(url, timeout_s) for url in urls]
    for member in members:
        member.introduce()
    if all(member.why_not for member in members):
        raise NoAgent("; ".join(map(_why_silent, members)))
    own = boot_id()
    here = (m for m in members if own and m.boot_id == own)
    if (first := next(here, None)) is not None:
        first.is_here = True
    # an agent with two URLs takes part under the first: it is to measure the workload if it can
    return sorted(members, key=lambda one: (one.machine, not one.is_here, one.agent.url))


def _why_silent(member: Member) -> str:
    """Return why an agent takes no part, with its URL: a refusal does not say whose it is."""
    why, url = member.why_not, member.agent.url
    return why if url in why else f"{url}: {why}"


class SeveralRuns:
    """One run of each of several agents, used as a `OneRun` is.

    ``uninterrupted``, ``starting`` and ``fetching`` are as there; the latter is entered in threads.
    ``check`` looks at what the agent on this machine has begun.
    """

    def __init__(
        self,
        members: Sequence[Member],
        uninterrupted: Callable[[], AbstractContextManager[object]],
        starting: Starting = start,
        fetching: Fetching = lambda agent, run_id: nullcontext(),
    ) -> None:
        self._members = members
        self._uninterrupted = uninterrupted
        self._starting = starting
        self._fetching = fetching
        self._runs: dict[Member, OneRun] = {}
        self._lost: dict[Member, str] = {}
        """Why evidence was lost at the end."""
        self._other = ""
        self.check: Check = lambda started: None

    @property
    def failures(self) -> list[str]:
        """Why there is no evidence of other machines. That of the workload is an answer itself."""
        return [
            f"{member.name}: {why}"
            for member in self._members
            if (why := self._why_not(member)) and not member.is_here
        ]

    def begin(self, body: Mapping[str, Any]) -> Json | None:
        """Begin a run of each agent, and return the answer of the one on this machine.

        Return None while one of them has another run: none is begun then, so that no agent is
        held while another one is waited for. If the workload itself is not measured, the answer
        says why. Raises `NotMeasured` if nothing is.
        """
        if self._is_any_busy():
            return None
        answers: dict[Member, Json] = {}
        for member in self._taking_part():
            run = OneRun(member.agent, self._uninterrupted, self._starting, self._fetching)
            self._runs[member] = run
            try:
                answer = run.begin(body if member.is_here else _of_whole_machine(body))
                if answer is None and (same := self._begun_as(run.other_id)) is None:
                    self._other = run.other_run()
                    self.close()
                    return None
                if answer is None:
                    raise NotMeasured(f"it is the same agent as {same}")
                if member.is_here:
                    self.check(answer)
            except NotMeasured as error:
                run.close()
                del self._runs[member]
                member.why_not = str(error)
                continue
            answers[member] = answer
        if not answers:
            raise NotMeasured("; ".join(f"{m.name}: {m.why_not}" for m in self._members))
        here = (answer for member, answer in answers.items() if member.is_here)
        return next(here, None) or {"available": False, "reason": self._why_not_here()}

    def other_run(self) -> str:
        """Return as `OneRun.other_run`, of the agent that has another run."""
        return self._other

    def stop(self) -> Json:
        """End all runs, and return the evidence of the workload, with `fleet` next to it.

        After an interruption, not all of them may have been begun. Raises `NotMeasured`, with the
        evidence of the others, if the workload has none.
        """
        ended: dict[Member, Json] = {}

        def end(member: Member, run: OneRun) -> None:
            try:
                ended[member] = run.stop()
            except Exception as error:  # noqa: BLE001 - nor does a defect cost another's evidence
                own = isinstance(error, NotMeasured)
                self._lost[member] = str(error) if own else f"{type(error).__name__}: {error}"

        with self._uninterrupted():
            _all_at_once([(end, member, run) for member, run in self._runs.items()])
        for member in self._taking_part():
            if member not in self._runs:
                self._lost[member] = NOT_BEGUN
        self._runs.clear()
        fleet = {"machines": [self._row(member, ended.get(member)) for member in self._members]}
        here = (evidence for member, evidence in ended.items() if member.is_here)
        if (evidence := next(here, None)) is None:
            raise NotMeasured(self._why_not_here(), {"fleet": fleet})
        return {**evidence, "fleet": fleet}

    def close(self) -> None:
        """End every run that has been begun and not ended."""
        runs, self._runs = self._runs, {}
        for run in runs.values():
            run.close()

    def _taking_part(self) -> list[Member]:
        return [member for member in self._members if not member.why_not]

    def _is_any_busy(self) -> bool:
        for member in self._taking_part():
            status = member.run_in_progress()
            # one of our own that could not be ended is ended as the next one begins
            if status and not is_left_open(member.agent, status.get("run_id")):
                self._other = which_run(member.agent, status)
                return True
        return False

    def _begun_as(self, run_id: object) -> str | None:
        """Return the URL of the agent that has begun a run of ours; None if none of them has."""
        ours = (member for member, run in self._runs.items() if run_id and run.run_id == run_id)
        return next((member.agent.url for member in ours), None)

    def _why_not_here(self) -> str:
        here = next((member for member in self._members if member.is_here), None)
        if here is not None:
            return self._why_not(here)
        silent = [m.name for m in self._members if m.machine and not m.boot_id]
        if silent or not boot_id():
            who = f"no boot id from {', '.join(silent)}" if silent else "this one has no boot id"
            return f"it is not known which agent is on the machine of the workload: {who}"
        named = ", ".join(member.name for member in self._members)
        return f"none of the agents is on the machine of the workload: {named}"

    def _why_not(self, member: Member) -> str:
        return member.why_not or self._lost.get(member, "")

    def _row(self, member: Member, evidence: Json | None) -> Json:
        """Return what became of one agent; the workload's evidence is the document itself."""
        row: Json = {
            "agent": member.agent.url,
            "machine": member.machine or None,
            "boot_id": member.boot_id or None,
            "runs_workload": member.is_here,
            "reason": self._why_not(member) or None,
        }
        return row if member.is_here else {**row, "evidence": evidence}


def _of_whole_machine(body: Mapping[str, Any]) -> Json:
    """Return the body of a start without what only a run about the workload can have."""
    # only here: most runs have one agent
    from agent.sections.probes import SCOPED_DETAILS

    everywhere = {**body, "scope": "system"}
    if details := body.get("details"):  # with None, the agent has its own default
        everywhere["details"] = [name for name in details if name not in SCOPED_DETAILS]
    return everywhere


def _all_at_once(calls: Sequence[tuple[Callable[..., None], Member, OneRun]]) -> None:
    """Make the calls in threads, so that an agent that does not answer delays no other one.

    If there can be no further thread, the call is made in this one.
    """
    threads = []
    for function, *arguments in calls:
        thread = threading.Thread(target=function, args=arguments)
        try:
            thread.start()
        except RuntimeError:
            function(*arguments)
        else:
            threads.append(thread)
    for thread in threads:
        thread.join()
