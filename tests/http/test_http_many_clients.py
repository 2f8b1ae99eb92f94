"""What ``benchmarks clients`` counts: every answer, and whatever was not answered."""

import os
from collections.abc import Callable
from pathlib import Path

from fakes.agent_server import ended
from fakes.http_server import running_server
from fakes.recorder import FakeRecorder

from agent.overhead.machine import read_machine
from benchmarks import kept
from benchmarks.clients import (
    LOOKS,
    REQUESTS,
    Answers,
    Held,
    Load,
    figures,
    lost_events,
    measure,
    nearest_rank,
    render,
)
from benchmarks.results_page import clients_sections


def measured_until(
    seen: Callable[[Load], object], url: str, clients: int, seconds: float = 0.2
) -> Load:
    """Measure for longer if this was not seen, as on a machine that is busy."""
    for times in (1, 10, 100):
        load = measure(url, [os.getpid()], clients=clients, seconds=times * seconds)
        if seen(load):
            break
    return load


def test_every_request_is_answered_and_counted() -> None:
    with running_server() as server:
        load = measured_until(lambda load: load.answers.runs, server.url, 8, seconds=0.5)
        assert server.recorder.stops > 0
    answers = load.answers
    assert answers.runs > 0
    assert answers.missing == []
    assert answers.refused_by_the_server == answers.lost == 0
    for request in REQUESTS:
        assert len(answers.took[request]) == sum(
            n for (name, _), n in answers.statuses.items() if name == request
        )
    page = render(load)
    assert all(request in page for request in REQUESTS)
    assert "events lost: 0; 5xx: 0; no answer: 0" in page


def test_what_is_kept_is_a_section_of_the_results(tmp_path: Path) -> None:
    with running_server() as server:
        load = measure(server.url, [os.getpid()], clients=4, seconds=0.2)
    kept.keep(kept.CLIENTS, kept.Parts(read_machine(), figures(load)), tmp_path)
    [run] = kept.parts(tmp_path, kept.CLIENTS)
    assert kept.parts(tmp_path) == []
    section = "\n".join(clients_sections([run]))
    for request in REQUESTS:
        assert f"| {request} | {len(load.answers.took[request]):,} |" in section
    assert "| requests without an answer | 0 |" in section
    assert f"| {', '.join(f'{held.memory_mb:.1f}' for held in load.held)} |" in section
    assert f"| {', '.join(str(held.fds) for held in load.held)} |" in section


def test_a_request_without_any_answer_has_no_latencies() -> None:
    load = Load(1, 1.0, Answers(), [Held(1.0, 1)] * LOOKS)
    run = kept.Parts(read_machine(), figures(load))
    assert "| GET /metrics | 0 |  |  |  |  |" in "\n".join(clients_sections([run]))


def test_what_the_server_fails_at_is_counted() -> None:
    class Failing(FakeRecorder):
        def status(self) -> dict[str, object]:
            raise RuntimeError("a defect")

    with running_server(open_recorder=Failing.open) as server:
        load = measured_until(lambda load: load.answers.refused_by_the_server, server.url, 4)
    assert load.answers.refused_by_the_server > 0
    assert "500: " in render(load)


def test_what_is_not_answered_is_counted() -> None:
    with ended() as gone:
        load = measured_until(lambda load: load.answers.missing, gone.url, 2)
    assert load.answers.missing
    assert "no answer: 0" not in render(load)


def test_lost_events_are_those_of_all_streams() -> None:
    streams = {"runqlat": {"lost": 2}, "exec": {"lost": 1}, "offcpu": {}}
    assert lost_events({"completeness": {"streams": streams}}) == 3
    assert lost_events({"completeness": {}}) == 0


def test_quantiles_are_nearest_ranks() -> None:
    values = [1.0, 2.0, 3.0, 4.0]
    assert [nearest_rank(values, q) for q in (0.5, 0.75, 0.99, 1.0)] == [2.0, 3.0, 4.0, 4.0]
