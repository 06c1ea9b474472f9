"""One process at a time in a folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from videoldm.core.errors import InputError
from videoldm.core.files import folder_lock

HOLD = """
import sys, time
from pathlib import Path
from videoldm.core.files import folder_lock
with folder_lock(Path(sys.argv[1]), "is taken"):
    print("inside", flush=True)
    time.sleep(60)
"""


def test_another_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    process = subprocess.Popen([sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "inside\n"
        with pytest.raises(InputError, match=rf"^{folder}: is taken$"), folder_lock(folder, "is taken"):
            pass
    finally:
        process.kill()
        process.wait()
    for _ in range(2):
        with folder_lock(folder, "is taken"):
            pass
