"""A separate program: is killed at each step of a rescue, and looks each time what the next process finds.

Arguments: a folder, and the name of a deed of `journal_deeds`. A step is whatever changes a name or waits for the disk.
Says one JSON object for each: the step before which the kill came, whether a new file lay beside the old one by then,
and the order ids that were found.
"""

import functools
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import journal_deeds
from journal_orders import page

from backstay.actors.journal_files import FRESH
from backstay.actors.journal_store import JournalError, JournalStore

STEPS = ((Path, "replace"), (Path, "rename"), (Path, "unlink"), (os, "fsync"), (JournalStore, "open"))
KEPT = (1, 2, 3)


class Executioner:
    """Kills this process before the n-th step; without a number it only counts."""

    def __init__(self, left: int) -> None:
        self.left = left

    def watch(self, owner: Any, name: str) -> None:
        step = getattr(owner, name)

        @functools.wraps(step)
        def watched(*args: Any, **kwargs: Any) -> Any:
            self.strike(name)
            return step(*args, **kwargs)

        setattr(owner, name, watched)

    def strike(self, name: str) -> None:
        if self.left == 0:
            os.write(1, name.encode())
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1


def live(path: Path, deed: Callable[[Path], None], left: int) -> None:
    """Keep orders, lose the file, rescue it, go on with the new one."""
    store = JournalStore(path)
    store.open()
    store.write([page(1), page(2)])
    journal_deeds.keep_a_copy(path)
    store.write([page(3)])
    deed(path)
    executioner = Executioner(left)
    for owner, name in STEPS:
        executioner.watch(owner, name)
    store.rescue("1700000000")
    executioner.strike("close the old file")
    store.close()
    store.open()
    executioner.strike("end")


def killed_at(path: Path, deed: Callable[[Path], None], left: int) -> str:
    """The step before which the kill came; empty if all of them had been taken."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        os.dup2(write, 1)
        live(path, deed, left)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as told:
        step = told.read()
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == (signal.SIGKILL if step else 0)
    assert step or os.waitstatus_to_exitcode(status) == 0
    return step


def found(path: Path) -> list[int]:
    """What the next process finds. It is killed as well, at each step in its turn, and the one after it opens."""
    for left in range(20):
        child = os.fork()
        if child == 0:
            executioner = Executioner(left)
            for owner, name in STEPS[:4]:
                executioner.watch(owner, name)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            JournalStore(path).open()
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
            break
    store = JournalStore(path)
    try:
        store.open()
        return sorted(one.key.order_id for one in store.read().intents)
    except JournalError:
        return []
    finally:
        store.close()


def main(folder: Path, deed: Callable[[Path], None]) -> None:
    for left in range(40):
        path = folder / str(left) / "orders.db"
        path.parent.mkdir()
        step = killed_at(path, deed, left)
        made = path.with_name(path.name + FRESH).exists()
        print(json.dumps({"step": step, "made": made, "found": found(path)}), flush=True)  # noqa: T201
        if not step:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), getattr(journal_deeds, sys.argv[2]))
