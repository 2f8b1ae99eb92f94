"""A store on a full disk, its size, and one that is killed as it writes."""

import contextlib
import errno
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes.kept import kept, pairs, single
from fakes.mounts import mounting
from fakes.run_command import fakes_process

from agent.store import errors, schema
from agent.store.errors import StoreError
from agent.store.opening import open_store
from agent.store.retention import Limits
from agent.store.selection import Selection

ALL = Selection()
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


# --- a full disk


@needs_root
def test_on_a_full_disk_nothing_is_lost_and_the_reason_is_given(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    code = (
        "import os, sys; from pathlib import Path\n"
        "from fakes.kept import keep_in, kept, single\n"
        "from agent.store.errors import StoreError\n"
        "from agent.store.opening import open_store, open_to_read\n"
        "from agent.store.selection import Selection\n"
        "path = Path(sys.argv[1], 'runs.db')\n"
        "keep_in(path, single(), single())\n"
        "count = 2\n"
        "with open_store(path) as store:\n"
        "    try:\n"
        "        while True:\n"
        "            document = single() | {'noise': os.urandom(20000).hex()}\n"
        "            store.keep(*kept(document))\n"
        "            count += 1\n"
        "    except StoreError as error: print(error)\n"
        "with open_to_read(path) as store:\n"
        "    print(len(list(store.find(Selection()))) == count, count > 2)\n"
        "    print(store._connection.execute('PRAGMA integrity_check').fetchall())\n"
    )
    script = f"mount -t tmpfs -o size=2m,mode=700 none {full}"
    found = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parents[2])])
    command = [*mounting(script), "env", f"PYTHONPATH={found}", sys.executable, "-c", code, full]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    why, whole, checked = done.stdout.splitlines()
    assert "free some of it elsewhere" in why
    assert whole == "True True"
    assert checked == "[('ok',)]"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), None], ids=["file", "sqlite"])
def test_on_a_full_disk_it_says_what_to_do(path: Path, error: OSError | None) -> None:
    def fail() -> None:
        if error:
            raise error
        with contextlib.closing(sqlite3.connect(":memory:")) as connection:
            connection.execute("PRAGMA max_page_count = 1")
            connection.execute("CREATE TABLE full (x)")

    with pytest.raises(StoreError, match="free some of it elsewhere"), errors.explained(path):
        fail()


# --- its size


def size_of(path: Path) -> int:
    return path.stat().st_size


def test_pages_are_given_back_and_the_log_stays_small(path: Path) -> None:
    turnovers, each = 10, 40
    with open_store(path) as store:
        store.set_limits(Limits(runs=each))
        largest_log = 0
        for number in range(turnovers * each):
            noise = random.Random(number).randbytes(3000 + 97 * (number % 50)).hex()
            store.keep(*kept(single() | {"noise": noise}))
            largest_log = max(largest_log, size_of(path.with_name("runs.db-wal")))
        [[free], [pages]] = [
            store._connection.execute(f"PRAGMA {name}").fetchone()
            for name in ("freelist_count", "page_count")
        ]
        assert len(list(store.find(ALL))) == each
    assert free <= 0.05 * pages
    # ten times what SQLite writes back at (1000 pages) would be no bound at all
    assert largest_log <= 2 * 1000 * 4096 + schema.LARGEST_LOG


def test_a_log_that_one_large_series_has_made_is_cut(path: Path) -> None:
    with open_store(path) as store:
        document = pairs(60)
        for number, run in enumerate(document["runs"]):
            run["evidence"]["noise"] = random.Random(number).randbytes(60_000).hex()
        store.keep(*kept(document))
        log = path.with_name("runs.db-wal")
        assert size_of(log) > schema.LARGEST_LOG
        for _ in range(3):
            store.keep(*kept(single()))
        assert size_of(log) <= schema.LARGEST_LOG


# --- killed


def killed_while_writing(path: Path, after_s: float) -> list[str]:
    """Have a process keep runs, kill it; return the ids that it reported as kept."""
    code = (
        "import os, sys; from pathlib import Path\n"
        "from fakes.kept import kept, pairs, single\n"
        "from agent.store.opening import open_store\n"
        "from agent.store.retention import Limits\n"
        "documents = iter(lambda: (single(), pairs(3)), None)\n"
        "with open_store(Path(sys.argv[1])) as store:\n"
        "    store.set_limits(Limits(runs=60))\n"
        "    print('ready', flush=True)\n"
        "    for both in documents:\n"
        "        for document in both:\n"
        "            runs, series = kept(document)\n"
        "            store.keep(runs, series)\n"
        "            print(*(run.id for run in runs), flush=True)\n"
    )
    with fakes_process(code, path, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        first = writer.stdout.readline()
        time.sleep(after_s)
        writer.send_signal(signal.SIGKILL)
        said = first + writer.stdout.read()
    # the last line may be cut: then nothing was promised
    return said.rpartition("\n")[0].split()


@pytest.mark.parametrize("times", [2, pytest.param(100, marks=pytest.mark.thorough)])
def test_a_process_killed_while_it_writes_leaves_whole_runs(path: Path, times: int) -> None:
    moments = random.Random(times)
    for _ in range(times):
        promised = killed_while_writing(path, moments.uniform(0, 0.3))
        with open_store(path, lambda aside: pytest.fail("it was put aside")) as store:
            checked = store._connection.execute("PRAGMA integrity_check").fetchall()
            runs = store.select(ALL)
            limit = int(store.limits.runs)
        assert checked == [("ok",)]
        assert promised
        assert {run.id for run in runs} >= set(promised[-min(limit // 2, len(promised)) :])
        assert all(run.evidence["run_id"] == run.id and run.command for run in runs)
        series = [run.series for run in runs if run.series]
        assert all(series.count(one) == 6 for one in set(series))
