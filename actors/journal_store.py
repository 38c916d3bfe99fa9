"""The file behind the journal: SQLite with a write-ahead log, one writer, whole pages in one commit each.

A commit that returned is kept: through a crash of the process in either durability, through one of the host with
`HOST`. A torn end of the log, as such a crash leaves it, is cut off by SQLite when the file is opened. The file is held
for this process alone; a second daemon on it is told so instead of following the same orders.

A file that somebody deletes or replaces lives on as long as it is open here, and dies with the process. So whoever owns
the store asks now and then whether it is `astray`, and writes all of it into a new file (`rescue`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import sqlite3
from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from enum import Enum, unique
from pathlib import Path
from typing import Any

from backstay.actors.journal_files import (
    ASIDE,
    FRESH,
    INDEX,
    LOG,
    UNFINISHED,
    Identity,
    beside,
    changed,
    create,
    identity,
    sync,
)
from backstay.protocol.order_fields import PlacedOrder, read_placed
from backstay.session.intents import HighWater, Intent, IntentKey, IntentState, JournalPage, Outcome

SCHEMA_VERSION = 1
DOUBTFUL = (IntentState.SENT, IntentState.IN_DOUBT)
"""States of an order of which nobody knows whether TWS has it, unless somebody is there who waits for the answer."""

ROOM_BYTES = 16_384
"""What has to fit before a journal that was full counts as usable again: more than any order takes."""

APPLICATION_ID = 0x62737461
"""Marks the file as ours ("bsta"): another program's database is not touched."""

MAX_PAGES = 65_536
"""Of 4 KiB, so 256 MiB: about 300,000 orders. Beyond it the journal is full, and the disk is not."""

LOG_BYTES = 8 * 1024 * 1024
"""The write-ahead log shrinks to this after a burst."""

PRUNE_ROWS = 500
"""Deleted in one commit: few enough for an order not to wait for it."""

RECALL_ROWS = 1_000
"""Concluded intents read at once, the latest: orders wait for this thread, and a person reads no more."""

LOCK_BYTES = (510 + 2, 0x40000000)
"""How many, and from which on: the bytes of a file on which SQLite's locks lie."""

_SCHEMA = """
CREATE TABLE intents (
    connection TEXT NOT NULL, client_id INTEGER NOT NULL, order_id INTEGER NOT NULL,
    state TEXT NOT NULL, outcome TEXT, order_ref TEXT NOT NULL, account TEXT NOT NULL,
    perm_id INTEGER NOT NULL, epoch INTEGER NOT NULL, attempt INTEGER NOT NULL, life INTEGER NOT NULL,
    changes INTEGER NOT NULL, change_pending INTEGER NOT NULL, cancel_wanted INTEGER NOT NULL,
    sent_wall REAL NOT NULL, changed_wall REAL NOT NULL, version INTEGER NOT NULL, payload BLOB NOT NULL,
    PRIMARY KEY (connection, client_id, order_id)
) WITHOUT ROWID;
CREATE INDEX concluded ON intents (changed_wall) WHERE outcome IS NOT NULL;
CREATE TABLE high_waters (
    connection TEXT NOT NULL, client_id INTEGER NOT NULL, order_id INTEGER NOT NULL,
    PRIMARY KEY (connection, client_id)
) WITHOUT ROWID;
"""

_COLUMNS = (
    "connection, client_id, order_id, state, outcome, order_ref, account, perm_id, epoch, attempt, life, "
    "changes, change_pending, cancel_wanted, sent_wall, changed_wall, version, payload"
)
_PUT_INTENT = f"INSERT OR REPLACE INTO intents ({_COLUMNS}) VALUES ({', '.join('?' * 18)})"  # noqa: S608 - our own words
_PUT_HIGH_WATER = """
INSERT INTO high_waters (connection, client_id, order_id) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET order_id = max(order_id, excluded.order_id)
"""
_READ = f"SELECT {_COLUMNS} FROM intents WHERE (?1 IS NULL OR connection = ?1)"  # noqa: S608 - our own words
_READ_OPEN = f"{_READ} AND outcome IS NULL ORDER BY changed_wall"
_READ_CONCLUDED = f"{_READ} AND outcome IS NOT NULL ORDER BY changed_wall DESC LIMIT ?2"
_READ_DOUBTFUL = "SELECT connection, client_id, order_id FROM intents WHERE outcome IS NULL AND state IN (?, ?)"
_READ_HIGH_WATERS = "SELECT connection, client_id, order_id FROM high_waters WHERE (?1 IS NULL OR connection = ?1)"
_PRUNE = """
DELETE FROM intents WHERE (connection, client_id, order_id) IN (
    SELECT connection, client_id, order_id FROM intents
    WHERE outcome IS NOT NULL AND changed_wall < ? ORDER BY changed_wall LIMIT ?
)
"""


@unique
class Durability(Enum):
    """What a record survives that was reported as kept."""

    HOST = "host"
    """A crash of the machine: every commit waits for the disk."""
    PROCESS = "process"
    """A crash of the process: the operating system has it."""


@unique
class Trouble(Enum):
    """Why the journal cannot keep anything. The value is what an operator reads."""

    FULL = "no room"
    LOCKED = "in use by another process"
    DENIED = "cannot be opened"
    UNREADABLE = "not a journal that can be read"
    NEWER = "written by a later version of backstay"
    BROKEN = "the disk fails"


_TROUBLES = {
    sqlite3.SQLITE_FULL: Trouble.FULL,
    sqlite3.SQLITE_BUSY: Trouble.LOCKED,
    sqlite3.SQLITE_LOCKED: Trouble.LOCKED,
    sqlite3.SQLITE_CORRUPT: Trouble.UNREADABLE,
    sqlite3.SQLITE_NOTADB: Trouble.UNREADABLE,
    sqlite3.SQLITE_SCHEMA: Trouble.UNREADABLE,
    sqlite3.SQLITE_ERROR: Trouble.UNREADABLE,  # a table or column that should be there is not
    sqlite3.SQLITE_READONLY: Trouble.DENIED,
    sqlite3.SQLITE_PERM: Trouble.DENIED,
    sqlite3.SQLITE_CANTOPEN: Trouble.DENIED,
}
_PRIMARY_CODE = 0xFF


class JournalError(Exception):
    """The journal could not be opened, read or written; what was not reported as kept is not."""

    def __init__(self, trouble: Trouble, detail: str) -> None:
        super().__init__(f"{trouble.value} ({detail})" if detail else trouble.value)
        self.trouble = trouble
        self.detail = detail


class JournalStore:
    """See the module. All of it in one thread. Raises `JournalError`; after one, `close` is still to be called."""

    def __init__(self, path: Path, durability: Durability = Durability.HOST, *, max_pages: int = MAX_PAGES) -> None:
        self.path = path
        self._durability = durability
        self._max_pages = max_pages
        self._db: sqlite3.Connection | None = None
        self._files: dict[Path, Identity | None] = {}  # by the path at which it has to be

    def open(self) -> None:
        """Open the file, made if there is none (for this user alone), and take it for this process."""
        with _translated():
            self._end_rescue()
            create(self.path)
            self._db = sqlite3.connect(self.path, timeout=0.0, isolation_level=None)
            self._set_up(self._db)
            self._files = {path: identity(path) for path in (self.path, beside(self.path, LOG))}

    def close(self) -> None:
        """Close the file; what the log holds goes into the main file."""
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(sqlite3.Error):
                db.close()

    def write(self, pages: Sequence[JournalPage]) -> None:
        """Keep all of these, in one commit. When this returns they are kept; when it raises, take it that none is."""
        with self._transaction() as db:
            db.executemany(_PUT_INTENT, (_row(intent) for page in pages for intent in page.intents))
            marks = (mark for page in pages for mark in page.high_waters)
            db.executemany(_PUT_HIGH_WATER, ((mark.connection, mark.client_id, mark.order_id) for mark in marks))

    def read(self, connection: str | None = None, *, concluded: bool = False) -> JournalPage:
        """What is kept, of one connection or of all: every open intent, and the latest of those `concluded` if asked.

        Each kind in the order of its last change.
        """
        limit = RECALL_ROWS if concluded else 0
        with _translated():
            db = self._opened()
            opened = tuple(map(_intent, db.execute(_READ_OPEN, (connection,))))
            ended = tuple(map(_intent, db.execute(_READ_CONCLUDED, (connection, limit))))
            marks = tuple(HighWater(*mark) for mark in db.execute(_READ_HIGH_WATERS, (connection,)))
        return JournalPage((*ended[::-1], *opened), marks)

    def doubtful(self) -> frozenset[IntentKey]:
        """Whose fate is open, as far as is written down."""
        with _translated():
            return frozenset(
                IntentKey(*row) for row in self._opened().execute(_READ_DOUBTFUL, [one.value for one in DOUBTFUL])
            )

    def try_room(self) -> None:
        """Write something, and take it away again: raises `JournalError` while there is no room for an order."""
        with self._transaction() as db:
            db.execute("DROP TABLE IF EXISTS room")
            db.execute("CREATE TABLE room AS SELECT zeroblob(?) AS bytes", (ROOM_BYTES,))
        with self._transaction() as db:
            db.execute("DROP TABLE room")

    def prune(self, before_wall: float) -> int:
        """Forget intents concluded before this time, at most `PRUNE_ROWS`; returns how many. High waters stay."""
        with self._transaction() as db:
            return db.execute(_PRUNE, (before_wall, PRUNE_ROWS)).rowcount

    # -- a file that has gone ----------------------------------------------------------------------------------------

    def astray(self) -> str:
        """What has become of the open file if the next process would not find it: deleted, or replaced. A few us."""
        for path, known in self._files.items():
            try:
                found = identity(path)
            except OSError:
                continue  # nobody can tell; it was there
            if found != known:
                return "deleted" if found is None else "replaced"
        return ""

    def rescue(self, stamp: str) -> str:
        """Write everything that is known into a new file at the path; close and open the store to go on with that.

        A file that somebody else has put there is moved aside, under a name with this stamp, which is returned; one
        that another process uses is left alone, and that is an error.
        """
        fresh, unfinished = beside(self.path, FRESH), beside(self.path, UNFINISHED)
        with _translated():
            unfinished.unlink(missing_ok=True)
            create(unfinished)
            self._opened().execute("VACUUM INTO ?", (str(unfinished),))
            sync(unfinished)
            unfinished.replace(fresh)
            try:
                aside = self._make_room(f"{ASIDE}-{stamp}")
                fresh.replace(self.path)
            except BaseException:
                fresh.unlink(missing_ok=True)
                raise
            sync(self.path.parent)
        return aside

    def _end_rescue(self) -> None:
        """Whoever was killed in the middle of one has left a file that has all that was kept, as no other has."""
        fresh = beside(self.path, FRESH)
        written = changed(fresh)
        if written and written >= max(changed(self.path), changed(beside(self.path, LOG))):
            self._files = {}
            self._make_room(f"{ASIDE}-{written // 10**9}")
            fresh.replace(self.path)

    def _make_room(self, ending: str) -> str:
        aside = ""
        _refuse_to_rob(self.path, self._files.get(self.path))
        for path in (self.path, beside(self.path, LOG), beside(self.path, INDEX)):
            found = identity(path)
            if found is None:
                continue
            if found != self._files.get(path):
                aside = aside or f"{self.path}{ending}"
                path.rename(path.with_name(path.name.replace(self.path.name, self.path.name + ending, 1)))
            elif path != self.path:
                path.unlink()  # our own log, all of which is in the new file; beside that it would be taken for its log
        return aside

    # -- inside ------------------------------------------------------------------------------------------------------

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            raise JournalError(Trouble.DENIED, "not open")
        return self._db

    @contextlib.contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection, None, None]:
        db = self._opened()
        with _translated():
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                raise

    def _set_up(self, db: sqlite3.Connection) -> None:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")  # first: the log's index is then kept in memory, not in a file
        version = _check(db)
        if db.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise JournalError(Trouble.DENIED, "the file system cannot hold a write-ahead log")
        db.execute(f"PRAGMA synchronous = {'FULL' if self._durability is Durability.HOST else 'NORMAL'}")
        db.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        db.execute(f"PRAGMA max_page_count = {self._max_pages}")
        with self._transaction():  # also when there is nothing to make: the lock is taken by the first write
            if version == 0:
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _refuse_to_rob(path: Path, own: Identity | None) -> None:
    """Raise if another process holds the file at this path. Ours is not touched: closing it would lose our lock."""
    if identity(path) in (None, own):
        return
    with contextlib.suppress(PermissionError), path.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, *LOCK_BYTES)
        except OSError as error:
            raise JournalError(Trouble.LOCKED, "another journal lies in its place") from error


def _check(db: sqlite3.Connection) -> int:
    """Return the schema version of a file that is ours, or 0 of an empty one."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (owner,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if owner != APPLICATION_ID and (owner or version or tables):
        raise JournalError(Trouble.UNREADABLE, "the database of another program")
    if version > SCHEMA_VERSION:
        raise JournalError(Trouble.NEWER, f"schema {version}, this one knows {SCHEMA_VERSION}")
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise JournalError(Trouble.UNREADABLE, str(verdict))
    return int(version)


@contextlib.contextmanager
def _translated() -> Generator[None, None, None]:
    """Raise what SQLite and the system raise as `JournalError`."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:
            raise  # misuse of the library: our own mistake
        trouble = _TROUBLES.get(code & _PRIMARY_CODE, Trouble.BROKEN)
        raise JournalError(trouble, f"{error}, {error.sqlite_errorname}") from error
    except OSError as error:
        trouble = Trouble.FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else Trouble.DENIED
        raise JournalError(trouble, error.strerror or str(error)) from error


def _row(intent: Intent) -> tuple[Any, ...]:
    key, order, outcome = intent.key, intent.order, None if intent.outcome is None else intent.outcome.value
    return (
        *(key.connection, key.client_id, key.order_id, intent.state.value, outcome, order.order_ref, order.account),
        *(intent.perm_id, intent.epoch, intent.attempt, intent.life, intent.changes, intent.change_pending),
        *(intent.cancel_wanted + intent.cancel_owed, intent.sent_wall, intent.changed_wall, intent.version),
        intent.payload,
    )


def _intent(row: Iterable[Any]) -> Intent:
    connection, client_id, order_id, state, outcome, order_ref, account, perm_id, *counts = row
    epoch, attempt, life, changes, change_pending, cancel_wanted, sent_wall, changed_wall, version, payload = counts
    order = read_placed(payload, version) or PlacedOrder(order_id=order_id)
    try:
        return Intent(
            key=IntentKey(connection, client_id, order_id),
            order=replace(order, order_ref=order_ref, account=account),
            payload=payload,
            version=version,
            state=IntentState(state),
            outcome=None if outcome is None else Outcome(outcome),
            epoch=epoch,
            perm_id=perm_id,
            attempt=attempt,
            life=life,
            changes=changes,
            change_pending=bool(change_pending),
            cancel_wanted=bool(cancel_wanted),
            cancel_owed=cancel_wanted > 1,
            sent_wall=sent_wall,
            changed_wall=changed_wall,
        )
    except ValueError as error:
        raise JournalError(Trouble.UNREADABLE, str(error)) from error
