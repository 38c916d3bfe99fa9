"""A separate program: writes orders until no file may grow any more, and tells how many were kept, and the trouble."""

import resource
import sys
from pathlib import Path

from journal_orders import page

from backstay.actors.journal_store import JournalError, JournalStore

store = JournalStore(Path(sys.argv[1]))
store.open()
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
kept = 0
try:
    for order_id in range(1, 10_000):
        store.write([page(order_id)])
        kept = order_id
except JournalError as error:
    sys.stdout.write(f"{kept} {error.trouble.name}\n")
store.close()
