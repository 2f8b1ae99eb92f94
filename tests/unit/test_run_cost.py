"""What a command costs under ``run``: figures of rounds, and the table. Nothing is measured."""

from contextlib import nullcontext
from pathlib import Path
from typing import cast

import pytest

from agent.client.spawn import RunningAgent
from agent.overhead.protocols import Missing, WorkloadFailed
from benchmarks import run_cost
from benchmarks.run_cost import (
    BARE,
    MEASURED,
    UNMEASURED,
    Command,
    Costs,
    Row,
    measure_costs,
    render,
)

AGENT = cast(RunningAgent, None)
TRUE = Command("true", "true", 8, lambda: nullcontext(("true",)))


def test_the_command_is_compared_with_run_and_the_whole_with_bare() -> None:
    rounds = range(8)
    row = Row(
        "x",
        {BARE: [10.0 + n for n in rounds], MEASURED: [110.0 + n for n in rounds]},
        {UNMEASURED: [10.0 + n for n in rounds], MEASURED: [11.0 + 1.1 * n for n in rounds]},
    )
    assert row.slowdown.estimate.middle == pytest.approx(0.1)
    assert row.added_ms.estimate.middle == pytest.approx(100)
    said = render(Costs([row], [70.0] * 8, {"pgbench": Missing("not installed", "apt-get")}))
    headers, line, missing, until = said.splitlines()
    figures = "x 8 13.5 +10.0% +10.0% – +10.0% +100.0 100.0 – 100.0"
    assert " ".join(line.split()) == figures
    assert len(line) <= len(headers) <= 80
    assert missing == "pgbench not run: not installed (apt-get)"
    assert until.startswith("from the start of run to the command's: 70.0 ms (70.0 - 70.0)")


def test_each_round_has_each_way_once_and_the_first_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ways: list[str] = []

    def one(way: str, *_: object) -> tuple[float, float]:
        ways.append(way)
        first = len(ways) <= 3
        return (1000.0 if first else 2.0), (1000.0 if first else 1.0)

    monkeypatch.setattr(run_cost, "_one", one)
    monkeypatch.setattr(run_cost, "_until_exec_ms", lambda _: 70.0)
    costs = measure_costs(AGENT, [TRUE], 1.0, lambda _: None)
    [row] = costs.rows
    assert [sorted(ways[n : n + 3]) for n in range(0, len(ways), 3)] == [
        [BARE, MEASURED, UNMEASURED]
    ] * 9
    assert len({tuple(ways[n : n + 3]) for n in range(0, len(ways), 3)}) > 1, "drawn"
    assert row.whole == {BARE: [2.0] * 8, MEASURED: [2.0] * 8}
    assert row.own == {UNMEASURED: [1.0] * 8, MEASURED: [1.0] * 8}


def test_nothing_is_kept_among_the_users_own_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, folder = tmp_path / "own", tmp_path / "folder"
    folder.mkdir()
    monkeypatch.setenv("XDG_STATE_HOME", str(own))
    run_cost._one(UNMEASURED, AGENT, ("true",), folder)
    assert (folder / "chainbench-agent" / "runs.db").exists()
    assert not own.exists()


def test_what_fails_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    def one(*_: object) -> tuple[float, float]:
        raise WorkloadFailed("true exited with status 1: no")

    monkeypatch.setattr(run_cost, "_one", one)
    monkeypatch.setattr(run_cost, "_until_exec_ms", lambda _: 70.0)
    absent = Command("x", "x", 1, lambda: nullcontext(()), lambda: Missing("not installed"))
    costs = measure_costs(AGENT, [TRUE, absent], 1.0, lambda _: None)
    assert costs.rows == []
    assert {name: why.reason for name, why in costs.missing.items()} == {
        "true": "true exited with status 1: no",
        "x": "not installed",
    }
