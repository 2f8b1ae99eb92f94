"""``run`` keeps what it measured, after everything else has been done."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agent.nouns import counted
from agent.run.options import Options
from agent.run.telling import Teller
from agent.terminal.values import printable

if TYPE_CHECKING:
    from pathlib import Path

    from agent.store.store import Kept


def keep(document: Mapping[str, Any], options: Options, teller: Teller) -> None:
    """Keep the runs in a document, unless asked not to, and say where they are found.

    What keeps them from being kept is said as well, and changes nothing else.
    """
    if not options.keep or document.get("runs") == []:
        return
    # imported after the command has ended: none of it is needed before
    try:
        from agent.store.errors import StoreError, require_sqlite
        from agent.store.place import default_path
        from agent.store.run import SHORT
    except OSError as error:  # no descriptor is left
        teller.say(f"this is not kept: {error}")
        return
    try:
        require_sqlite()
        kept, own = _keep_in(default_path(), document, teller)
    except (StoreError, OSError) as error:
        teller.say(f"this is not kept: {printable(error, 1000)}")
        return
    except KeyboardInterrupt:  # somebody else may have locked it
        teller.say("this is not kept: interrupted")
        return
    short = own[:SHORT]
    teller.add("kept", f"{short} (in full: chainbench-agent runs show {short})")
    if kept.deleted:
        teller.add(
            "deleted", f"{counted(kept.deleted, 'older run')} (chainbench-agent runs limits)"
        )


def _keep_in(path: "Path", document: Mapping[str, Any], teller: Teller) -> "tuple[Kept, str]":
    """Keep the runs; return what became of them, and the id of the series or the run.

    A damaged file is put aside, and a new one begun. Raises `StoreError`.
    """
    from agent.store.documents import runs_of, series_of
    from agent.store.errors import Damaged
    from agent.store.opening import begin_anew, open_store
    from agent.store.run import RUN

    def on_damage(aside: "Path | None") -> None:
        where = f", and is now {printable(aside)}" if aside else ""
        teller.say(f"{printable(path)} was damaged{where}: runs are kept in a new file")

    runs, series = runs_of(document, RUN), series_of(document)
    own = series.id if series else runs[0].id
    store = open_store(path, on_damage)
    try:
        try:
            return store.keep(runs, series), own
        except Damaged:
            store, aside = begin_anew(store)
            on_damage(aside)
            return store.keep(runs, series), own
    finally:
        store.close()
