"""Two processes that encode curated clips together; as a program: `rank_encoding.py EXPORT CACHE OUT`."""

import os
import socket
import sys
from fractions import Fraction
from pathlib import Path
from unittest.mock import patch

import torch
from tiny_model_folder import AUTOENCODER
from tiny_networks import randomise
from torch.multiprocessing.spawn import start_processes

from videoldm.core import ranks
from videoldm.dataset.config import Bucket
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.training.data import windows
from videoldm.training.data.config import CachedLatents, CuratedData
from videoldm.training.data.curated_windows import curated_windows
from videoldm.training.data.samples import CuratedTrainingData

NUM_PROCESSES = 2
NUM_SAMPLES = 12


def data(folder: Path) -> CuratedData:
    """Two buckets, whose windows lie in a shard each."""
    buckets = (
        Bucket(height=16, width=32, num_frames=3, fps=Fraction(5), batch_size=2),
        Bucket(height=16, width=32, num_frames=2, fps=Fraction(10), batch_size=2),
    )
    return CuratedData(folder=str(folder), buckets=buckets, latents=CachedLatents())


def outcome(folder: Path, cache: Path) -> dict[str, object]:
    """How many windows this process encodes, and what it reads then."""
    encoded = 0
    encode = windows.encode

    def counting(autoencoder: Autoencoder, pixels: windows.Pixels) -> windows.EncodedWindow:
        nonlocal encoded
        encoded += 1
        return encode(autoencoder, pixels)

    autoencoder = randomise(Autoencoder(AUTOENCODER)).eval()
    with patch.object(windows, "encode", counting):
        clips = CuratedTrainingData(curated_windows(data(folder), autoencoder, cache, seed=0, main_bucket=0), seed=0)
        clips.reader.prepare()
    positions = range(0, NUM_SAMPLES, 2)
    latents = [clips.samples([first, first + 1], is_image=False).latents for first in positions]
    clips.reader.close()
    return {"encoded": encoded, "latents": latents, "skipped": sorted(clips.reader.skipped)}


def work(rank: int, port: int, folder: Path, cache: Path, out: Path) -> None:
    """What one of the processes does."""
    addresses = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(NUM_PROCESSES), **addresses}
    with ranks.process_group("cpu"):
        torch.save(outcome(folder, cache), out / f"{rank}.pt")


def main() -> None:
    """Fork the processes."""
    folders = tuple(Path(word) for word in sys.argv[1:])
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        port = taken.getsockname()[1]
    start_processes(work, (port, *folders), nprocs=NUM_PROCESSES, start_method="fork")


if __name__ == "__main__":
    main()
