"""pgbench on a temporary PostgreSQL cluster, with fsync and without TCP."""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from agent.overhead.protocols import Missing, WorkloadFailed

DISK = Path("/var/tmp")
INSTALLED = Path("/usr/lib/postgresql")
SETTINGS = {
    "listen_addresses": "",
    "fsync": "on",
    # A checkpoint during one run of a pair would look like overhead.
    "checkpoint_timeout": "1h",
    "max_wal_size": "4GB",
    "autovacuum": "off",
}
SCALE = 10
TPS = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)
START_SECONDS = 60


class Pgbench:
    """TPC-B-like transactions (pgbench's default) from 4 clients over a Unix socket."""

    name = "pgbench"
    operation = "transaction"
    cpus: frozenset[int] | None = None

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._socket = ""
        self.pid = 0
        """The server's process, while it is prepared."""

    def check(self) -> Missing | None:
        if _bin() is None:
            return Missing("PostgreSQL is not installed", "apt-get install postgresql")
        if shutil.which("pgbench") is None:
            return Missing("pgbench is not installed", "apt-get install postgresql-contrib")
        return None

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Create a cluster with its tables, run it, and remove it. Raises `WorkloadFailed`."""
        account = _account()
        with tempfile.TemporaryDirectory(prefix="chainbench-pg-", dir=DISK) as folder:
            shutil.chown(folder, account.pw_uid, account.pw_gid)
            data = os.path.join(folder, "data")
            _as(account, "initdb", "-D", data, "--auth=trust", "-U", "bench", cwd=folder)
            control = ("-D", data, "-w", "-t", str(START_SECONDS))
            options = " ".join(f"-c {key}='{value}'" for key, value in SETTINGS.items())
            log = os.path.join(folder, "log")
            arguments = ("-l", log, "-o", f"{options} -k {folder}", "start")
            _as(account, "pg_ctl", *control, *arguments, cwd=folder)
            self._socket = folder
            self.pid = int(Path(data, "postmaster.pid").read_text().split()[0])
            try:
                _output(self._command("-i", "-s", str(SCALE), "-q"))
                yield
            finally:
                _as(account, "pg_ctl", *control, "-m", "immediate", "stop", cwd=folder)

    def run(self) -> float:
        """Raises `WorkloadFailed`."""
        output = _output(self.client(4))
        tps = TPS.search(output)
        if tps is None:
            raise WorkloadFailed(f"unexpected output of pgbench: {output[-200:]!r}")
        return 1 / float(tps[1])

    def client(self, clients: int) -> Sequence[str]:
        """Return the command that runs transactions for the whole time."""
        return self._command("-n", "-c", str(clients), "-j", "2", "-T", str(self._seconds))

    def transactions(self, clients: int, each: int) -> Sequence[str]:
        """Return the command that runs so many transactions for each client."""
        return self._command("-n", "-c", str(clients), "-j", "2", "-t", str(each))

    def _command(self, *arguments: str) -> Sequence[str]:
        return ("pgbench", "-h", self._socket, "-U", "bench", *arguments, "postgres")


def _bin() -> Path | None:
    """Return the folder of the newest version's programs, which Debian keeps off the path."""
    found = sorted(INSTALLED.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return Path(initdb).parent if initdb else None


def _account() -> pwd.struct_passwd:
    """Return the user to run the server as, because PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise WorkloadFailed("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _as(account: pwd.struct_passwd, program: str, *arguments: str, cwd: str) -> None:
    folder = _bin()
    if folder is None:
        raise WorkloadFailed("PostgreSQL is not installed")
    _output([str(folder / program), *arguments], account if os.geteuid() == 0 else None, cwd)


def _output(
    command: Sequence[str], account: pwd.struct_passwd | None = None, cwd: str | None = None
) -> str:
    """Return a command's output, through a file: the server would keep a pipe from pg_ctl open."""
    with tempfile.TemporaryFile("w+") as file:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )
        file.seek(0)
        output = file.read()
    if done.returncode != 0:
        raise WorkloadFailed(f"{Path(command[0]).name}: {output.strip()[-300:]}")
    return output
