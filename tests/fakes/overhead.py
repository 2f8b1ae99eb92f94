"""A simulated clock, with a workload and configurations whose only effect is to advance it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from agent.overhead.machine import Machine
from agent.overhead.protocols import CannotMeasure, Missing

MACHINE = Machine(
    host="bench",
    kernel="6.18.0",
    architecture="x86_64",
    cpu_model="Some CPU",
    cpus=2,
    memory_mb=4096,
    governor="performance",
    clocksource="tsc",
    boot_flags=("mitigations=auto",),
    settings={"net/core/bpf_jit_enable": "1"},
    mitigations={"spectre_v2": "Mitigation: IBRS", "meltdown": "Not affected"},
    versions={"agent": "0.1.0", "python": "3.11.2"},
)


@dataclass
class World:
    """The simulated time, the current slowdown, and a log of everything that happened."""

    now: float = 0.0
    factor: float = 1.0
    log: list[str] = field(default_factory=list)

    def clock(self) -> float:
        return self.now


@dataclass
class FakeWorkload:
    """A workload of 10 seconds per run, times the current slowdown, times that run's noise."""

    world: World
    name: str = "fake"
    operation: str = "turn"
    cpus: frozenset[int] | None = None
    noise: Callable[[], float] = lambda: 1.0
    missing: Missing | None = None

    def check(self) -> Missing | None:
        return self.missing

    @contextmanager
    def prepared(self) -> Iterator[None]:
        self.world.log.append("prepare")
        try:
            yield
        finally:
            self.world.log.append("clean up")

    def run(self) -> float:
        seconds = 10 * self.world.factor * self.noise()
        self.world.now += seconds
        self.world.log.append("run")
        return seconds


@dataclass
class FakeConfiguration:
    """A slowdown by ``factor``; ``fails_at`` holds the numbers (from 0) of armings that fail."""

    world: World
    name: str
    factor: float = 1.0
    missing: Missing | None = None
    fails_at: frozenset[int] = frozenset()
    armings: int = 0

    @property
    def label(self) -> str:
        return f"the {self.name}"

    def check(self) -> Missing | None:
        return self.missing

    @contextmanager
    def armed(self) -> Iterator[None]:
        self.armings += 1
        if self.armings - 1 in self.fails_at:
            raise CannotMeasure("would not attach", "try harder")
        self.world.log.append(f"+{self.name}")
        self.world.factor *= self.factor
        try:
            yield
        finally:
            self.world.factor /= self.factor
            self.world.log.append(f"-{self.name}")

    def remarks(self) -> tuple[str, ...]:
        return (f"armed {self.armings} times",)


class FakeAgent:
    """An agent that answers ``/stop`` with evidence and ``/start`` with an error, if it has one."""

    def __init__(self, evidence: dict[str, Any], error: Exception | None = None) -> None:
        self.evidence = evidence
        self.error = error
        self.asked: list[tuple[str, Any]] = []

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        self.asked.append((path, body))
        if path == "/start" and self.error:
            raise self.error
        return {} if path == "/start" else self.evidence


class WillingAgent(FakeAgent):
    """An agent that collects exactly what it is asked for."""

    def __init__(self) -> None:
        super().__init__({})

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        if path == "/start":
            self.evidence = {"available": True, **{name: {} for name in (body or {})["sections"]}}
        return super().post(path, body)
