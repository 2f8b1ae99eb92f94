"""Ordinary users, which only root can become, and what they send over an agent's Unix socket."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

SOMEBODY, OTHER = 65534, 65533

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")
with_rights_to_lose = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can take part of its rights away"
)


def as_user(uid: int) -> list[str]:
    """Return the prefix with which a command is that user's, without any capability."""
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"]


def as_reading_user(uid: int) -> list[str]:
    """Return the same with the right to read all files: this environment may be root's alone."""
    rights = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *rights, "--"]


def ask(path: Path, route: str, *options: str, before: Sequence[str] = ()) -> tuple[int, Any]:
    """Send a request with curl, and return the status and the answer."""
    asking = ["curl", "-sS", "-w", "\n%{http_code}", "--unix-socket", str(path), *options]
    command = [*before, *asking, f"http://whatever{route}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body) if body.startswith("{") else body


def start(path: Path, scope: object, before: Sequence[str] = ()) -> tuple[int, Any]:
    return ask(path, "/start", "-d", json.dumps({"scope": scope}), before=before)


def stop(path: Path, before: Sequence[str] = ()) -> tuple[int, Any]:
    return ask(path, "/stop", "-X", "POST", before=before)
