"""The settings of one agent process, as given on its command line."""

import socket
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings with the contract's defaults; ``chainbench-agent serve --help`` explains each."""

    host: str = "127.0.0.1"
    port: int = 9090
    machine: str = field(default_factory=socket.gethostname)
    user: str | None = None
    label_sets: int = 200
    allowed_hosts: tuple[str, ...] = ()
    timing: str = "clock"
    transport: str = "auto"
    mock: bool = False
    mock_seed: int = 0
