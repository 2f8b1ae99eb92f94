"""The settings of one agent process, as given on its command line."""

import socket
from dataclasses import dataclass, field

from agent.words import COMPILE_DEADLINE_S, HOST, PORT

SOCKET_MODE = 0o660


@dataclass(frozen=True, slots=True)
class SocketFile:
    """A Unix socket to listen on, and who may connect: the file's mode, and its group or None."""

    path: str
    mode: int
    group: str | None


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings with the contract's defaults; ``chainbench-agent serve --help`` explains each."""

    host: str = HOST
    port: int = PORT
    machine: str = field(default_factory=socket.gethostname)
    user: str | None = None
    label_sets: int = 200
    allowed_hosts: tuple[str, ...] = ()
    timing: str = "clock"
    transport: str = "auto"
    socket: SocketFile | None = None
    token_file: str | None = None
    """The file of the token that requests over TCP must carry; None: none, unless a credential."""
    read_token_file: str | None = None
    """The file of a second token, with which nothing can be changed."""
    tls_files: tuple[str, str] | None = None
    """The files of the certificate and of its key; None: no TLS."""
    insecure: bool = False
    """Whether other machines may connect although no token is required."""
    log_format: str = "text"
    data_dir: str | None = None
    """Where runs are kept: an absolute path; None if they are not."""
    compile_deadline_s: float = COMPILE_DEADLINE_S
    mock: bool = False
    mock_seed: int = 0
