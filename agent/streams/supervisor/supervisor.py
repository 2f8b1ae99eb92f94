"""The privileged process: holds programs, links and maps, and answers a closed set of verbs.

No network, no numpy, no Trio: it waits in one poll() and takes one request at a time, so there
is nothing to schedule. What keeps probes attached is an open fd of this process; when it ends,
however it ends, the kernel detaches them. End of file from the agent ends it.
"""

import contextlib
import os
import signal
import socket
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from agent.streams.shared import bpf, causes, messages, privileges
from agent.streams.shared.causes import CannotCollect
from agent.streams.shared.kernel_counts import read_section_counts
from agent.streams.shared.plan import Plan
from agent.streams.supervisor import scopes
from agent.streams.supervisor.armed import Armed, wait_for_running_programs
from agent.streams.supervisor.compilation import Abandoned, Built, Compiler
from agent.streams.supervisor.maps import Maps, RunConfig, this_machine
from agent.streams.supervisor.wait_stacks import HIDDEN, addresses_are_hidden

KEPT_PROGRAM_SETS = 4
"""Sets of loaded programs kept for the next run that asks for the same."""

KILLED_BY = 128
"""As shells say it: this plus the number of the signal that ended the agent."""


Answer = tuple[dict[str, Any], list[int]]
"""A message and the fds that go with it."""


class Supervisor:
    """Serves the agent at the other end of ``channel`` until it is gone."""

    def __init__(
        self,
        channel: socket.socket,
        make_maps: Callable[[], Maps] = lambda: Maps(this_machine()),
    ) -> None:
        self._channel = channel
        self._make_maps = make_maps
        self._compiler = Compiler(channel)
        self._maps: Maps | None = None
        self._maps_sent = False
        self._built: OrderedDict[Plan, Built] = OrderedDict()
        self._armed: Armed | None = None
        self._names_waits = False
        self._sections: tuple[str, ...] = ()
        self._close_after_sending: list[int] = []

    def serve(self) -> None:
        """Answer requests until the agent closes its end or dies."""
        try:
            while packet := self._channel.recv(messages.MAX_MESSAGE):
                self._answer(messages.decode(packet))
        except (Abandoned, ConnectionError):
            pass
        finally:
            self._detach()

    def _answer(self, request: dict[str, Any]) -> None:
        verbs = {
            "buffers": self._buffers,
            "prepare": self._prepare,
            "arm": self._arm,
            "disarm": self._disarm,
            "rescope": self._rescope,
        }
        fds: list[int] = []
        try:
            message, fds = verbs[request["verb"]](request)
        except CannotCollect as error:
            self._give_up(request)
            message = {"error": error.code, "message": error.message}
        except OSError as error:
            self._give_up(request)
            cause = causes.refused(request["verb"], error)
            message = {"error": cause.code, "message": cause.message}
        socket.send_fds(self._channel, [messages.encode(message)], fds)
        # not before: a verb that prepared well may have failed at something else afterwards
        self._maps_sent = self._maps_sent or "geometry" in message
        while self._close_after_sending:
            os.close(self._close_after_sending.pop())

    def _buffers(self, request: dict[str, Any]) -> Answer:
        """The buffers that the agent does not have; to be asked while there are more."""
        maps = self._ready_maps()
        transport = maps.buffers.chosen(request["transport"])
        offered = maps.buffers.offered(transport, request["have"], int(request["watermark"]))
        now = offered[: messages.BUFFERS_AT_ONCE]
        return {
            "transport": transport,
            "buffers": [[buffer.cpu, buffer.serial] for buffer in now],
            "more": len(offered) > len(now),
            "ring_bytes": maps.geometry.ring_bytes,
        }, [buffer.fd for buffer in now]

    def _prepare(self, request: dict[str, Any]) -> Answer:
        """Have the programs of a plan loaded, and tell the agent which maps there are."""
        built = self._programs(Plan.of(request))
        assert self._maps is not None
        message = {
            "unavailable": built.unavailable,
            "hooks": [hook for _, hook, _ in built.programs],
            "bcc": built.bcc,
            "awaits_execs": built.awaited_fd is not None,
            "newer_refused": built.newer_refused,
        }
        if self._maps_sent:
            return message, []
        message["geometry"] = asdict(self._maps.geometry)
        return message, [self._maps.fds[name] for name in messages.MAPS_FOR_THE_AGENT]

    def _arm(self, request: dict[str, Any]) -> Answer:
        """Reset the tables, attach, and note what is already going on. Times: CLOCK_MONOTONIC."""
        message, fds = self._prepare(request)
        assert self._maps is not None
        self._detach()
        details = Plan.of(request).details
        tables = self._maps.of_details(details)
        root, cgroup_id = scopes.root_of(request["scope"])
        start_ns = time.monotonic_ns()
        config = RunConfig(start_ns, cgroup_id, root, os.getpid())
        self._maps.reset(config)
        self._maps.buffers.begin(request["plan"]["transport"])
        self._armed = Armed(self._programs(Plan.of(request)))
        self._maps.configure(replace(config, clock_offset=self._armed.clock_offset()))
        counts = read_section_counts(Plan.of(request).sections)
        self._armed.attach(bool(request["measure_probes"]))
        if not self._armed.prime() and request["scope"]["kind"] in ("pid", "caller"):
            raise CannotCollect(
                scopes.NO_SUCH_PROCESS, f"process {root} ended before the run began"
            )
        self._names_waits = "wait_functions" in details
        self._sections = Plan.of(request).sections
        if self._names_waits and addresses_are_hidden():
            message["unavailable"] = {**message["unavailable"], "wait_functions": HIDDEN}
        return message | {
            "start_ns": start_ns,
            "attached": self._armed.hooks,
            "refused": self._armed.refused,
            "kernel_counts": counts,
            "root": root,
            "measures_probes": self._armed.measures_probes,
            "details": list(tables),
            "map_bytes": self._map_bytes(Plan.of(request)),
        }, [*fds, *tables.values()]

    def _map_bytes(self, plan: Plan) -> int:
        """Kernel memory of every map that this run uses."""
        assert self._maps is not None
        fds = set(self._maps.of_programs(plan.transport, plan.details).values())
        awaited_fd = self._programs(plan).awaited_fd
        if awaited_fd is not None:
            fds.add(awaited_fd)
        return sum(map(bpf.map_bytes, fds))

    def _rescope(self, request: dict[str, Any]) -> Answer:
        """Look again who is a member: tasks were moved between cgroups."""
        return {"changed": self._armed.prime() if self._armed else 0}, []

    def _disarm(self, request: dict[str, Any]) -> Answer:
        """Report on every task, detach, and answer once the last program has run to its end.

        The summaries go as a file: there are as many as there are tasks.
        """
        stop_ns = time.monotonic_ns()
        if self._armed is None:
            return {"stop_ns": stop_ns, "programs": [], "summaries": False}, []
        summaries = self._armed.summarize()
        self._armed.detach()
        wait_for_running_programs()
        stats = self._armed.program_stats()
        self._armed = None
        self._close_after_sending.append(_as_file(summaries))
        answer = {
            "stop_ns": stop_ns,
            "programs": stats,
            "summaries": True,
            "kernel_counts": read_section_counts(self._sections),
        }
        if self._names_waits and self._maps is not None:
            answer["wait_functions"] = self._maps.wait_stacks().take()
        if self._maps and (refused := self._maps.buffers.refused()) is not None:
            answer["refused_records"] = refused
        return answer, list(self._close_after_sending)

    def _programs(self, plan: Plan) -> Built:
        """Loaded programs for this plan, compiled if there are none yet."""
        maps = self._ready_maps()
        if plan not in self._built:
            fds = maps.of_programs(plan.transport, plan.details)
            constants = maps.geometry.constants() | plan.constants()
            constants |= {f"{name.upper()}_FD": fd for name, fd in fds.items()}
            sections = list(plan.sections)
            self._built[plan] = self._compiler.build(sections, constants, list(fds.values()))
            while len(self._built) > KEPT_PROGRAM_SETS:
                self._built.popitem(last=False)[1].close()
        self._built.move_to_end(plan)
        return self._built[plan]

    def _ready_maps(self) -> Maps:
        causes.check_platform()
        if self._maps is None:
            self._maps = self._make_maps()
        return self._maps

    def _give_up(self, request: dict[str, Any]) -> None:
        # a buffer that could not be had costs the events of one CPU, not the run
        if request["verb"] != "buffers":
            self._detach()

    def _detach(self) -> None:
        if self._armed is not None:
            self._armed.detach()
            self._armed = None


def _as_file(content: bytes) -> int:
    """The fd of an anonymous file with this content, to be read from its beginning."""
    fd = os.memfd_create("cba-summaries", os.MFD_CLOEXEC)
    with open(fd, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def run(channel: socket.socket, agent_pid: int) -> int:
    """Be the supervisor of the agent ``agent_pid``; returns the exit status to end with."""
    privileges.name_process("cba-supervisor")
    privileges.hide_from_same_user()

    def forward(number: int, frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(agent_pid, signal.SIGTERM)

    # The agent stops its run and closes the channel; that is what ends us. A Ctrl-C of the
    # terminal reaches the agent by itself.
    signal.signal(signal.SIGTERM, forward)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
    with channel:
        Supervisor(channel).serve()
    _, status = os.waitpid(agent_pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else KILLED_BY - code
