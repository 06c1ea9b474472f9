"""`videoldm train` by two processes under torchrun: a process that is killed, and the same command again."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from videoldm.core.config import to_yaml
from videoldm.core.random import generator
from videoldm.dataset.clips import ClipRecord, write_shard
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.training.config import OptimizerConfig, TrainingConfig
from videoldm.training.data.config import WorldData
from videoldm.training.data.world import _key
from videoldm.training.recipe import Recipe
from videoldm.training.stages.autoencoder.config import AutoencoderStage

DATA = WorldData(num_clips=64, num_frames=2, height=16, width=16)
RECIPE = Recipe(
    name="tiny",
    summary="an autoencoder of no use",
    stage=AutoencoderStage(
        model=AutoencoderConfig(channels=(4, 8), num_res_blocks=1, norm_groups=4, latent_channels=2),
        data=DATA,
        validation=DATA,
    ),
    training=TrainingConfig(
        num_samples=240,
        batch_size=4,
        optimizer=OptimizerConfig(learning_rate=1e-3),
        log_every_samples=4,
        validate_every_samples=240,
        checkpoint_every_samples=24,
    ),
)
WORDS = ("train", "tiny.yaml", "--cache", "cache", "--device", "cpu")
BOTH = f"""
import os
os.environ["TORCH_CPP_LOG_LEVEL"] = "ERROR"  # as the command does before it imports torch
from videoldm.cli.main import main
from videoldm.core.ranks import process_group

with process_group("cpu"):  # they can meet once alone
    for folder in ("parts", "whole"):
        main([*{WORDS}, "-o", folder])
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Begins `torchrun WORDS` with two processes in a folder whose cache has the clips."""
    frames = torch.randint(256, (64, 2, 16, 16, 3), dtype=torch.uint8, generator=generator(0, "frames"))
    record = ClipRecord(caption="noise", image_caption="noise", fps=Fraction(7), motion=0.1)
    shard = tmp_path / f"cache/world-{_key(DATA)}/00000000.safetensors"
    shard.parent.mkdir(parents=True)
    write_shard(shard, frames, [record] * len(frames))
    (tmp_path / "tiny.yaml").write_text(to_yaml(RECIPE))

    def begin(*words: str) -> subprocess.Popen[str]:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        pipe = subprocess.PIPE
        return subprocess.Popen([*launcher, *words], cwd=tmp_path, env=environment, stdout=pipe, stderr=pipe, text=True)

    return begin


def children(process: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def record(folder: Path) -> tuple[dict[str, torch.Tensor], list[str]]:
    """The exported weights, and the log without the clock."""
    log = re.sub(r', "seconds": [^}]*', "", (folder / "log.jsonl").read_text())
    return load_file(folder / "export/model.safetensors"), log.splitlines()


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_killed_process_stops_all_and_the_same_command_goes_on(tmp_path: Path, start: Start) -> None:
    running = start("-m", "videoldm.cli.main", *WORDS, "-o", "parts")
    while not list(tmp_path.glob("parts/checkpoints/0*")):
        assert running.poll() is None
        time.sleep(0.01)
    os.kill(children(running.pid)[1], signal.SIGKILL)
    killed = time.monotonic()
    _, err = running.communicate(timeout=60)
    assert "arning" not in err
    assert running.returncode != 0
    assert time.monotonic() - killed < 60
    assert not (tmp_path / "parts/export").exists()

    # Then one that nothing interrupts, by the same processes: they take longer to start than to train.
    (tmp_path / "both.py").write_text(BOTH)
    out, err = start("both.py").communicate(timeout=240)
    assert out == "parts/export\nwhole/export\n", err
    assert "arning" not in err
    (weights, log), (resumed, log_of_resumed) = record(tmp_path / "whole"), record(tmp_path / "parts")
    assert log == log_of_resumed
    assert len(log) == 61
    assert all(torch.equal(resumed[name], value) for name, value in weights.items())
