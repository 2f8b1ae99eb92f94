"""``doctor`` on this machine: it collects for a second, and sees what was taken from it."""

import json
import subprocess
from collections.abc import Sequence

import pytest
from fakes.users import with_rights_to_lose

from agent.client.interpreter import own_module
from agent.words import Json


def doctor(*before: str, arguments: Sequence[str] = ()) -> tuple[int, dict[str, list[Json]]]:
    """Return the exit status and the findings, by check."""
    command = own_module("agent", "doctor", "--json", "--port", "0", *arguments)
    done = subprocess.run(
        [*before, *command.command],
        env=dict(command.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    document = json.loads(done.stdout)
    found: dict[str, list[Json]] = {}
    for finding in document["checks"]:
        found.setdefault(finding["check"], []).append(finding)
    assert (document["state"] == "failed") == (done.returncode == 1), done.stderr
    return done.returncode, found


def test_it_collects_for_a_second() -> None:
    status, found = doctor()
    assert status == 0, found
    [collected] = found["collection"]
    assert collected["state"] != "failed"
    assert " events in a second, " in collected["text"]
    assert [finding["state"] for finding in found["tracepoints"]] == ["ok"]
    for check in ("kernel", "btf", "bcc", "capabilities", "port", "clock", "load"):
        assert len(found[check]) == 1


@pytest.mark.thorough
@with_rights_to_lose
def test_what_is_missing_fails_with_its_cure() -> None:
    status, found = doctor("setpriv", "--bounding-set=-bpf,-sys_admin", "--inh-caps=-all", "--")
    assert status == 1
    [capabilities], [collected] = found["capabilities"], found["collection"]
    assert (capabilities["state"], collected["state"]) == ("failed", "failed")
    assert "CAP_BPF is missing" in capabilities["text"]
    assert "excludes CAP_BPF, so running as root does not help" in capabilities["text"]
    assert "CapabilityBoundingSet= (systemd)" in capabilities["text"]
    assert collected["text"] == capabilities["text"]
