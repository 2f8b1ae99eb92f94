"""An agent that serves HTTPS, as a service, and its certificate while that is replaced."""

import contextlib
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fakes.certificates import Files
from fakes.processes import kill_session
from fakes.waiting import PATIENCE_SECONDS

from agent.client.interpreter import own_module
from agent.client.spawn import wait_for_url


@dataclass
class TlsAgent:
    process: "subprocess.Popen[bytes]"
    url: str
    log_path: Path

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def serves(self, files: Files) -> bool:
        """Return whether it shows the certificate of these files."""
        port = int(self.url.rpartition(":")[2])
        shown = ssl.get_server_certificate(("127.0.0.1", port))
        return shown.strip() in files.certificate.read_text()


@contextlib.contextmanager
def tls_agent(log: Path, files: Files, *options: str) -> Iterator[TlsAgent]:
    """Start an agent without a terminal, in a session of its own."""
    certificate, key = files.both
    started = own_module("agent", "--port", "0", "--tls-cert", certificate, "--tls-key", key)
    with log.open("w+b") as output:
        process = subprocess.Popen(
            [*started.command, *options],
            env=dict(started.environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield TlsAgent(process, wait_for_url(process, output, PATIENCE_SECONDS), log)
        finally:
            kill_session(process)


def put(renewed: Files, in_use: Files) -> None:
    """Replace files as a tool that renews certificates does: by renaming new ones."""
    for new, old in zip(renewed.both, in_use.both, strict=True):
        shutil.copy(new, f"{old}.new")
        os.rename(f"{old}.new", old)
