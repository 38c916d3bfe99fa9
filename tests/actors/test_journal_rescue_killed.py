"""A kill at any step of a rescue: once the new file is made, the next process has all that was kept."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
KEPT = [1, 2, 3]
MAKING = ["unlink", "fsync", "replace"]
SECONDS = 60.0


@pytest.mark.parametrize("deed", ["delete_with_log", "delete_log", "replace_log", "replace_with_text", "restore"])
def test_all_that_was_kept_is_found_wherever_in_a_rescue_the_kill_came(deed, tmp_path):
    command = [sys.executable, str(HERE / "journal_killed.py"), str(tmp_path), deed]
    told = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True).stdout
    rows = [json.loads(line) for line in told.splitlines()]
    steps = [row["step"] for row in rows]
    made = next(place for place, row in enumerate(rows) if row["made"])
    assert steps[:made] == MAKING, "nothing is touched before there is something in its place"
    assert [row["found"] for row in rows[made:]] == [KEPT] * (len(rows) - made)
    assert steps[-4:] == ["close the old file", "open", "end", ""]
