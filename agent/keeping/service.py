"""What an agent with ``--data-dir`` has in addition.

Imported by such agents only, since sqlite3 takes memory, and before privileges are dropped:
afterwards an interpreter in a private home directory can no longer read its own library.
"""

from pathlib import Path

from agent.keeping.keeper import StoreKeeper
from agent.keeping.reader import StoreReader
from agent.keeping.writer import Writer
from agent.store.place import FILE


class ServiceStore:
    """The store of a service, as the recorder writes it and as the routes read it."""

    def __init__(self, folder: str) -> None:
        path = Path(folder, FILE)
        self.keeper = StoreKeeper(Writer(path))
        self.reader = StoreReader(path, self.keeper)
