"""The privileged process, which holds programs, links and maps and serves a closed set of verbs.

No network, no numpy, no Trio: it waits in one recv() and handles one request at a time, so there
is nothing to schedule. What keeps a probe attached is an open fd of this process. When the process
exits for any reason, the kernel detaches all probes. It exits on end of file from the agent.
"""

import contextlib
import gc
import os
import socket
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from agent import journal, service_output
from agent.errors import AgentError, ScopeError
from agent.streams.shared import certificate_files, channel, messages, refusals, support
from agent.streams.shared.build_messages import BuildRequest
from agent.streams.shared.causes import CannotCollect
from agent.streams.shared.channel import Failure
from agent.streams.shared.kernel_counts import differences, read_section_counts
from agent.streams.shared.messages import (
    AnyRequest,
    ArmAnswer,
    ArmRequest,
    Buffer,
    BuffersAnswer,
    BuffersRequest,
    CertificateAnswer,
    CertificateRequest,
    DisarmAnswer,
    DisarmRequest,
    PrepareAnswer,
    PrepareRequest,
    RescopeAnswer,
    RescopeRequest,
    ScopeProcess,
    SupportAnswer,
    SupportRequest,
)
from agent.streams.shared.plan import Plan
from agent.streams.supervisor import locked_memory, scopes
from agent.streams.supervisor.armed import Armed, wait_for_running_programs
from agent.streams.supervisor.atomics import ATOMICS
from agent.streams.supervisor.autogroup import Autogroup
from agent.streams.supervisor.compilation import Abandoned, Built, Compiler
from agent.streams.supervisor.features import REQUIRED, Found, not_offered, possible
from agent.streams.supervisor.identities import Identity, clock_offset, ourselves
from agent.streams.supervisor.maps import NOT_YET, Maps, RunConfig, this_machine
from agent.words import COMPILE_DEADLINE_S

KEPT_PROGRAM_SETS = 4
"""Sets of loaded programs kept for later runs that ask for the same."""

Counts = dict[str, dict[str, int]]
"""The kernel's counts by section and name."""

Answer = tuple[Any, dict[str, int]]
"""A message, and the file descriptors sent with it, by name."""


class Supervisor:
    """The server of the agent at the other end of a channel, until that agent is gone."""

    def __init__(
        self,
        agent: socket.socket,
        make_maps: Callable[[], Maps] = lambda: Maps(this_machine()),
        compile_deadline_s: float = COMPILE_DEADLINE_S,
        certificate_files: Sequence[str] = (),
    ) -> None:
        """``certificate_files``: the paths of a certificate and its key, if there are any."""
        self._channel = agent
        self._make_maps = make_maps
        self._certificate_files = certificate_files
        self._compiler = Compiler(agent, compile_deadline_s)
        self._maps: Maps | None = None
        self._built: OrderedDict[Plan, Built] = OrderedDict()
        self._armed: Armed | None = None
        self._autogroup = Autogroup()
        self._config: RunConfig | None = None
        """Of the run in progress, with ``counted_from_ns`` 0."""
        self._request: ArmRequest | None = None
        """Of that run."""
        self._is_untidy = False
        """Whether a run and all of its programs have ended, and nothing is tidied up yet."""
        self._found = Found()
        self._clock_offset: int | None = None
        """None until it was measured; nothing changes it while this process lives."""
        self.run_id: str | None = None
        """The run in progress, or the one that was when serving ended; None if there was none."""

    def serve(self) -> None:
        """Answer requests until the agent closes its end or dies.

        Raises Malformed for a request that our agent never sends; its sender gets no answer.
        """
        try:
            while packet := self._channel.recv(channel.MAX_MESSAGE):
                self._answer(messages.decode_request(packet))
        except (Abandoned, ConnectionError):
            pass
        finally:
            self._detach()

    def _answer(self, request: AnyRequest) -> None:
        try:
            answer, fds = self._carry_out(request)
        except Abandoned:
            raise
        except (CannotCollect, ScopeError) as error:
            self._refuse(request, error)
        except OSError as error:
            self._refuse(request, refusals.refused(request.verb, error))
        except Exception as error:  # noqa: BLE001  the request fails, the service goes on
            complain(traceback.format_exc())
            self._refuse(request, _internal_error(error))
        else:
            try:
                channel.send_answer(self._channel, answer, fds)
            finally:
                certificate_files.close_all(
                    [fd for name, fd in fds.items() if name in messages.SENT_AND_CLOSED]
                )
            if self._is_untidy:
                self._tidy_up()

    def _carry_out(self, request: AnyRequest) -> Answer:
        match request:
            case SupportRequest():
                return SupportAnswer(self._found.told()), {}
            case BuffersRequest():
                return self._buffers(request)
            case PrepareRequest():
                return self._prepare(request)
            case ArmRequest():
                return self._arm(request)
            case DisarmRequest():
                return self._disarm()
            case RescopeRequest():
                return self._rescope()
            case CertificateRequest():
                return self._certificate()

    def _refuse(self, request: AnyRequest, error: AgentError) -> None:
        # a missing buffer costs the events of one CPU, not the run
        if not isinstance(request, BuffersRequest):
            self._detach()
            self.run_id = None
        failure = Failure(error.code, error.message, isinstance(error, ScopeError))
        channel.send_failure(self._channel, failure)

    def _buffers(self, request: BuffersRequest) -> Answer:
        maps = self._ready_maps()
        transport = maps.buffers.chosen(request.transport)
        offered = maps.buffers.offered(
            transport, request.have, (request.watermark, request.rare_watermark)
        )
        now = {
            Buffer(buffer.cpu, buffer.serial, buffer.rare): buffer.fd
            for buffer in offered[: messages.BUFFERS_AT_ONCE]
        }
        more = len(offered) > len(now)
        answer = BuffersAnswer(transport, tuple(now), more, maps.geometry.ring_bytes)
        return answer, {buffer.fd_name: fd for buffer, fd in now.items()}

    def _prepare(self, request: PrepareRequest) -> Answer:
        maps = self._ready_maps()
        built = self._programs(maps, possible(request.plan, self._found.of(ATOMICS)))
        answer = PrepareAnswer(maps.geometry, built.newer_refused)
        return answer, _tables(maps) if request.wants_tables else {}

    def _arm(self, request: ArmRequest) -> Answer:
        """Reset the tables, attach, and note what every task is already doing."""
        offered = self._found.support()
        support.require(offered.values())
        maps, plan = self._ready_maps(), request.plan
        built = self._programs(maps, possible(plan, offered[ATOMICS.name]))
        self._detach()
        fds = maps.of_details(plan.details)
        if request.wants_tables:
            fds |= _tables(maps)
        armed = Armed(built)
        own, root = ourselves(armed.identify), scopes.root_of(request.scope, armed.identify)
        if self._clock_offset is None:
            self._clock_offset = clock_offset(armed.identify)
        config = RunConfig(
            self._kernel_now_ns(),
            root.tgid if root else own.tgid,
            own.tgid,
            own.level,
        )
        self._armed, self._request, self.run_id = armed, request, request.run_id
        config = _reset(maps, config, armed, request)
        self._autogroup.favour()
        counts = self._counts(at_once=False)
        config = self._attach(maps, config, request.measure_probes, root)
        before, inside = self._begin_counting(maps, config)
        return ArmAnswer(
            start_ns=config.start_ns,
            clock_offset_ns=self._clock_offset,
            pid_level=own.level,
            root=_described(root) if root else None,
            geometry=maps.geometry,
            unavailable=built.unavailable | not_offered(plan, offered),
            refused=armed.refused,
            awaits_execs=built.awaited_fd is not None,
            bcc=built.bcc,
            map_bytes=maps.kernel_bytes(plan.transport, plan.details) + built.kernel_bytes(),
            kernel_counts=counts | before,
            differing=differences(before, inside),
            features=self._found.news(offered),
        ), fds

    def _attach(
        self, maps: Maps, config: RunConfig, measure_probes: bool, root: Identity | None
    ) -> RunConfig:
        """Attach, and note what every task is doing; return the configuration that says so."""
        assert self._armed is not None
        self._armed.attach(measure_probes)
        if not self._armed.prime() and root is not None:
            raise scopes.ended(root)
        config = replace(config, primed=True)
        maps.configure(config)
        self._armed.begin_wall()
        return config

    def _begin_counting(self, maps: Maps, config: RunConfig) -> tuple[Counts, Counts]:
        """Let the programs count that wait until all are attached and the members are known.

        Return the kernel's counts of it just before and just after.
        """
        self._config = config
        before = self._counts_at_once()
        maps.configure(replace(config, counted_from_ns=NOT_YET))
        maps.configure(replace(config, counted_from_ns=self._kernel_now_ns()))
        return before, self._counts_at_once()

    def _cease_counting(self, maps: Maps) -> tuple[Counts, Counts]:
        """End what `_begin_counting` began; return the counts just before and just after."""
        inside = self._counts_at_once()
        if self._config is not None:
            maps.configure(self._config)
        return inside, self._counts_at_once()

    def _counts_at_once(self) -> Counts:
        return self._counts(at_once=True)

    def _counts(self, *, at_once: bool) -> Counts:
        assert self._request is not None
        return read_section_counts(self._request.plan.sections, at_once)

    def _rescope(self) -> Answer:
        """Determine the members again, after tasks were moved between cgroups."""
        if self._armed is not None:
            self._armed.prime()
        return RescopeAnswer(), {}

    def _certificate(self) -> Answer:
        """Open the files that this process was started with; the agent can name no others."""
        try:
            fds = certificate_files.open_all(self._certificate_files)
        except OSError as error:
            return CertificateAnswer(f"{error.filename}: {error.strerror}"), {}
        names = (messages.CERTIFICATE, messages.KEY)
        return CertificateAnswer(""), dict(zip(names, fds, strict=False))  # there may be none

    def _disarm(self) -> Answer:
        """Summarize every task, detach, and answer once no program is still running.

        The summaries are sent as a file, since there are as many as there are tasks.
        """
        if self._armed is not None:
            self._armed.end_wall()
        stop_ns = self._kernel_now_ns()
        if self._armed is None or self._maps is None or self._request is None:
            return DisarmAnswer(stop_ns), {}
        armed, maps, request = self._armed, self._maps, self._request
        wall = armed.look_at_wall()
        inside, after = self._cease_counting(maps)
        summaries = armed.summarize()
        self._detach()
        self.run_id = None
        wait_for_running_programs()
        self._is_untidy = True
        wants_functions = "wait_functions" in request.plan.details
        answer = DisarmAnswer(
            stop_ns=stop_ns,
            programs=tuple(armed.program_stats()),
            kernel_counts=after | self._counts(at_once=False),
            differing=differences(after, inside),
            wait_functions=_wait_functions(maps) if wants_functions else None,
            refused_records=maps.buffers.refused(),
            cgroups=maps.cgroup_ids() if request.scope.cgroups else (),
            wall_contradicted=wall and wall.contradicted,
            wall_arrivals=wall.arrivals if wall else 0,
            reports=armed.measures_wall(),
        )
        return answer, {messages.SUMMARIES: _as_file(summaries)}

    def _tidy_up(self) -> None:
        """Do what a run leaves to do once the agent has its answer."""
        # 0.1 ms, as what existed when serving began is left out; otherwise what a run leaves to the
        # collector, and its free lists, would add up to 1.3 MB in 1,000 runs
        gc.collect()
        self._is_untidy = False
        with contextlib.suppress(OSError):  # then the next start empties it, or says why it cannot
            if self._maps is not None:
                self._maps.clear_members()

    def _kernel_now_ns(self) -> int:
        """Return the time on the clock of the programs, which no time namespace changes."""
        return time.monotonic_ns() + (self._clock_offset or 0)

    def _programs(self, maps: Maps, plan: Plan) -> Built:
        """Return the loaded programs for this plan, compiled if there are none yet."""
        if plan not in self._built:
            fds = maps.of_programs(plan.transport, plan.details)
            constants = maps.geometry.constants() | plan.constants()
            constants |= {f"{name.upper()}_FD": fd for name, fd in fds.items()}
            request = BuildRequest(plan.sections, constants)
            self._built[plan] = self._compiler.build(request, list(fds.values()))
            while len(self._built) > KEPT_PROGRAM_SETS:
                self._built.popitem(last=False)[1].close()
        self._built.move_to_end(plan)
        return self._built[plan]

    def _ready_maps(self) -> Maps:
        if self._maps is None:
            support.require(feature.support() for feature in REQUIRED)
            locked_memory.lift()
            self._maps = self._make_maps()
        return self._maps

    def _detach(self) -> None:
        if self._armed is not None:
            self._armed.detach()
            self._armed = None
            self._autogroup.put_back()


def _internal_error(error: Exception) -> CannotCollect:
    return CannotCollect(f"{type(error).__name__}: {error}", code="internal_error")


def _tables(maps: Maps) -> dict[str, int]:
    return {name: maps.fds[name] for name in messages.TABLES}


def _reset(maps: Maps, config: RunConfig, armed: Armed, request: ArmRequest) -> RunConfig:
    """Empty every table, and configure the run that is about to be attached."""
    maps.reset(config, request.scope.cgroups)
    maps.buffers.begin(request.plan.transport)
    config = replace(config, clock_offset=armed.clock_offset())
    maps.configure(config)
    return config


def _described(root: Identity) -> ScopeProcess:
    return ScopeProcess(root.local_tgid, root.tgid, root.command, root.age_ns)


def _wait_functions(maps: Maps) -> dict[str, tuple[int, ...]]:
    return {function: tuple(stacks) for function, stacks in maps.wait_stacks().take().items()}


def _as_file(content: bytes) -> int:
    """Return the fd of an anonymous file with this content, positioned at its beginning."""
    with open(os.memfd_create("cba-summaries"), "w+b") as file:
        file.write(content)
        file.seek(0)
        return os.dup(file.fileno())


def complain(text: str) -> None:
    """Write a diagnostic to standard error."""
    service_output.say(journal.prioritized(text, journal.ERROR) if journal.is_journal() else text)
