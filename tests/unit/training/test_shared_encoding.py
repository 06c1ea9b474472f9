"""Latents that several processes encode before the first step, each its part."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import rank_encoding
import torch

pytestmark = pytest.mark.slow


def test_processes_share_the_windows_and_read_all(exports: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    shutil.copytree(exports["files"], folder)
    broken = sorted(folder.glob("*/*.mp4"))[2]
    broken.write_bytes(broken.read_bytes()[:2000])
    together = tmp_path / "together"
    together.mkdir()
    command = [sys.executable, rank_encoding.__file__, folder, tmp_path / "cache-of-two", together]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    one = rank_encoding.outcome(folder, tmp_path / "cache-of-one")
    parts = [torch.load(together / f"{rank}.pt") for rank in range(rank_encoding.NUM_PROCESSES)]
    assert [part["encoded"] for part in parts] == [5, 5]
    assert one["encoded"] == 10
    assert len(one["skipped"]) == 1
    for part in parts:
        assert part["skipped"] == one["skipped"]
        torch.testing.assert_close(part["latents"], one["latents"], rtol=0, atol=0)
    written = [sorted(path.name for path in place.rglob("*.safetensors")) for place in tmp_path.glob("cache-of-*")]
    assert written[0] == written[1]
    assert len(written[0]) == 2
