"""A separate program: keeps orders through a journal for ever, and tells each that is kept; meant to be killed.

Arguments: file, first order id, how many pages may be under way at once, and `hasty` for a journal that says so before
it is true. Says `kept ID` and, with one under way, how long the log is then.
"""

import os
import sys
import threading
from pathlib import Path

from journal_orders import page

from backstay.actors.journal import Journal, JournalParts, Keep, Kept
from backstay.actors.journal_store import JournalStore
from backstay.supervisor.book import Book
from backstay.supervisor.specs import Context

path, first, under_way = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
room = threading.Semaphore(under_way)
log = path.with_name(path.name + "-wal")


def answered(answer):
    if not isinstance(answer, Kept):
        os._exit(3)
    size = log.stat().st_size if under_way == 1 else 0
    os.write(1, b"kept %d %d\n" % (answer.token, size))
    room.release()


class Hasty(Journal):
    """Tells at once, and writes some time later."""

    def _waiting_append(self, keep):
        keep.tell(Kept(keep.token))

    def _commit(self):
        pass


book = Book()
kind = Hasty if "hasty" in sys.argv else Journal
kind.start(Context("journal", "journal", book, print), parts=JournalParts(lambda: JournalStore(path)))
order_id = first
while True:
    room.acquire()
    book.send("journal", Keep(page(order_id), order_id, answered))
    order_id += 1
