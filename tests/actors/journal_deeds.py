"""What becomes of the file of a journal behind its back; used by separate programs too."""

import shutil
from pathlib import Path

from backstay.actors.journal_files import LOG


def log_of(path: Path) -> Path:
    return path.with_name(path.name + LOG)


def delete(path: Path) -> None:
    path.unlink()


def delete_with_log(path: Path) -> None:
    path.unlink()
    log_of(path).unlink()


def delete_log(path: Path) -> None:
    log_of(path).unlink()


def replace_by_copy(path: Path) -> None:
    copy = path.with_name("copy")
    shutil.copy(path, copy)
    copy.replace(path)


def replace_with_text(path: Path) -> None:
    path.unlink()
    path.write_text("a note\n", encoding="utf-8")


def replace_log(path: Path) -> None:
    log_of(path).unlink()
    log_of(path).write_bytes(b"")


def keep_a_copy(path: Path) -> None:
    """As somebody does who backs it up."""
    for part in (path, log_of(path)):
        shutil.copy(part, part.with_name(f"backup-{part.name}"))


def restore(path: Path) -> None:
    """The backup is put back, over what is in use."""
    for part in (path, log_of(path)):
        part.with_name(f"backup-{part.name}").replace(part)


DEEDS = (delete, delete_with_log, delete_log, replace_by_copy, replace_with_text, replace_log)
