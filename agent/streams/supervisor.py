"""The privileged process: holds programs, links and maps, and answers a closed set of verbs.

No network, no numpy, no Trio: it waits in one poll() and takes one request at a time, so there
is nothing to schedule. What keeps probes attached is an open fd of this process; when it ends,
however it ends, the kernel detaches them. End of file from the agent ends it.
"""

import contextlib
import ctypes
import os
import platform
import signal
import socket
import time
from collections import OrderedDict
from dataclasses import asdict
from typing import Any

from agent.streams import bpf, causes, messages, privileges, specs
from agent.streams.causes import CannotCollect
from agent.streams.compilation import Abandoned, Built, Compiler
from agent.streams.maps import Maps, this_machine
from agent.streams.plan import Plan

MEMBARRIER_NUMBERS = {"x86_64": 324, "aarch64": 283, "riscv64": 283, "ppc64le": 365, "s390x": 356}
MEMBARRIER_CMD_GLOBAL = 1
GRACE_WITHOUT_MEMBARRIER_S = 0.05

KEPT_PROGRAM_SETS = 4
"""Sets of loaded programs kept for the next run that asks for the same."""

KILLED_BY = 128
"""As shells say it: this plus the number of the signal that ended the agent."""

ITERATOR_PASSES = 8
"""A pass that adds no member ends the search; each finds children that a fork storm hid."""


def wait_for_running_programs() -> None:
    """Return once no program that was attached before can still be running.

    Detaching does not wait. MEMBARRIER_CMD_GLOBAL is a synchronize_rcu() (kernel/sched/
    membarrier.c), and tracepoint programs run inside an RCU read section.
    """
    number = MEMBARRIER_NUMBERS.get(platform.machine())
    libc = ctypes.CDLL(None, use_errno=True)
    if number is None or libc.syscall(number, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0:
        time.sleep(GRACE_WITHOUT_MEMBARRIER_S)


class Armed:
    """One run's attachments. Closing them is what detaching means."""

    def __init__(self, built: Built) -> None:
        self.built = built
        self.links: list[int] = []
        self.hooks: list[str] = []
        self.refused: dict[str, str] = {}
        self._before = {fd: bpf.program_info(fd) for _, hook, fd in self._attachable()}

    def attach(self) -> None:
        """Attach every program; a refusal costs the sections that need it, no more."""
        for _, hook, fd in self._attachable():
            try:
                self.links.append(bpf.attach_raw_tracepoint(fd))
                self.hooks.append(hook)
            except OSError as error:
                self.refused[hook] = str(error.strerror)

    def detach(self) -> None:
        while self.links:
            os.close(self.links.pop())

    def program_stats(self) -> list[dict[str, Any]]:
        """Since the start: runs skipped by recursion; runs and ns while the kernel counts them."""
        stats = []
        for name, hook, fd in self._attachable():
            now, before = bpf.program_info(fd), self._before[fd]
            stats.append(
                {
                    "name": name,
                    "hook": hook,
                    "runs": now.run_cnt - before.run_cnt,
                    "run_ns": now.run_time_ns - before.run_time_ns,
                    "recursion_misses": now.recursion_misses - before.recursion_misses,
                }
            )
        return stats

    def _attachable(self) -> list[tuple[str, str, int]]:
        return [p for p in self.built.programs if p[1] != specs.ITERATOR]


class Supervisor:
    """Serves the agent at the other end of ``channel`` until it is gone."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._compiler = Compiler(channel)
        self._maps: Maps | None = None
        self._maps_sent = False
        self._built: OrderedDict[Plan, Built] = OrderedDict()
        self._armed: Armed | None = None

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
            "prepare": self._prepare,
            "arm": self._arm,
            "disarm": self._disarm,
            "stats": self._stats,
        }
        fds: list[int] = []
        try:
            message, fds = verbs[request["verb"]](request)
        except CannotCollect as error:
            self._detach()
            message = {"error": error.code, "message": error.message}
        except OSError as error:
            self._detach()
            cause = causes.refused(request["verb"], error)
            message = {"error": cause.code, "message": cause.message}
        socket.send_fds(self._channel, [messages.encode(message)], fds)

    def _prepare(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        """Have the programs of a plan loaded, and tell the agent which maps there are."""
        built = self._programs(Plan.of(request))
        assert self._maps is not None
        message = {
            "unavailable": built.unavailable,
            "hooks": [hook for _, hook, _ in built.programs],
            "bcc": built.bcc,
        }
        if self._maps_sent:
            return message, []
        self._maps_sent = True
        message["geometry"] = asdict(self._maps.geometry)
        return message, [self._maps.fds[name] for name in messages.MAPS_FOR_THE_AGENT]

    def _arm(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        """Reset the tables, attach, and note what is already going on. Times: CLOCK_MONOTONIC."""
        message, fds = self._prepare(request)
        assert self._maps is not None
        self._detach()
        start_ns = time.monotonic_ns()
        self._maps.reset(start_ns, os.getpid())
        self._armed = Armed(self._programs(Plan.of(request)))
        self._armed.attach()
        self._iterate()
        return message | {
            "start_ns": start_ns,
            "attached": self._armed.hooks,
            "refused": self._armed.refused,
        }, fds

    def _iterate(self) -> None:
        assert self._armed is not None
        iterator = next(fd for _, hook, fd in self._armed.built.programs if hook == specs.ITERATOR)
        bpf.run_iterator(iterator)

    def _disarm(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        """Detach, and answer once the last program has run to its end."""
        if self._armed is None:
            return {"stop_ns": time.monotonic_ns(), "programs": []}, []
        stop_ns = time.monotonic_ns()
        self._armed.detach()
        wait_for_running_programs()
        stats = self._armed.program_stats()
        self._armed = None
        return {"stop_ns": stop_ns, "programs": stats}, []

    def _stats(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        armed = self._armed.hooks if self._armed else []
        return {"attached": armed, "pid": os.getpid()}, []

    def _programs(self, plan: Plan) -> Built:
        """Loaded programs for this plan, compiled if there are none yet."""
        causes.check_platform()
        if self._maps is None:
            self._maps = Maps(this_machine())
        if plan not in self._built:
            constants = self._maps.geometry.constants() | self._maps.constants()
            constants |= plan.constants()
            fds = list(self._maps.fds.values())
            self._built[plan] = self._compiler.build(list(plan.sections), constants, fds)
            while len(self._built) > KEPT_PROGRAM_SETS:
                self._built.popitem(last=False)[1].close()
        self._built.move_to_end(plan)
        return self._built[plan]

    def _detach(self) -> None:
        if self._armed is not None:
            self._armed.detach()
            self._armed = None


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
