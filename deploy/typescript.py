"""The compiler of TypeScript as a checker, of whether JSON fits the types that somebody has published."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

COMPILER = "typescript@5"
OPTIONS = ("--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2022")


@contextmanager
def types(package: str) -> Iterator[Path]:
    """A temporary folder with this package of npm, in which `compiled` finds its types."""
    with tempfile.TemporaryDirectory(prefix="backstay-types-") as name:
        install = ("npm", "install", "--no-audit", "--no-fund", "--silent", package, COMPILER)
        subprocess.run(install, cwd=name, check=True, stdin=subprocess.DEVNULL)  # noqa: S603
        yield Path(name)


def compiled(folder: Path, sources: Mapping[str, str]) -> str:
    """What the compiler has to say of these texts, by name; empty if all of them fit."""
    for name, text in sources.items():
        (folder / f"{name}.ts").write_text(text, encoding="utf-8")
    command = ("node_modules/.bin/tsc", *OPTIONS, *(f"{name}.ts" for name in sources))
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout  # noqa: S603
