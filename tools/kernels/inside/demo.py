"""The bundled workload, as somebody runs it to try the agent."""

import json
import subprocess
from pathlib import Path
from typing import Any

from agent.client.isolation import isolated_command
from agent.sections.probes import DEFAULT_SECTIONS
from tools.kernels.inside.agents import agent, in_short, timed_start


def run(results: Path) -> dict[str, Any]:
    """Return what the evidence of ``chainbench-agent demo`` says, and how the command ended."""
    with agent(results / "agent-demo.log") as client:
        first = timed_start(client, {})
        client.post("/stop")
        command = isolated_command("agent", "demo", "--agent", client.url)
        with (results / "demo.txt").open("w") as printed:
            ended = subprocess.run(command, stdout=printed, stderr=subprocess.STDOUT, check=False)
        evidence = client.get("/evidence")
    (results / "demo.json").write_text(json.dumps(evidence))
    return {
        "exit_status": ended.returncode,
        "first_start_s": first,
        "versions": evidence.get("manifest", {}).get("versions", {}),
        "transport": evidence.get("manifest", {}).get("transport"),
        **in_short(evidence, DEFAULT_SECTIONS),
    }
