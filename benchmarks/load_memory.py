"""Memory that loading a checkpoint takes beyond the loaded weights.

Writes a full-size UNet of random weights in the layout of diffusers, loads it into different precisions by us and by
diffusers, each in its own process, and prints by how much the resident set rose at its highest.

  python benchmarks/load_memory.py
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from videoldm.checkpoints.layouts import diffusers as layout
from videoldm.checkpoints.layouts.diffusers_config import DiffusersVideoUNet
from videoldm.evaluation.speed.contenders import random_unet
from videoldm.models.presets import SVD

OURS = """
from pathlib import Path
from videoldm.checkpoints.layouts import diffusers as layout
from videoldm.checkpoints.layouts.diffusers_config import DiffusersVideoUNet, read_diffusers_config
from videoldm.checkpoints.part import Part
from videoldm.checkpoints.storage.safetensors import stored_tensors
from videoldm.models.unet.network import VideoUNet

def load(folder, dtype):
    config = read_diffusers_config(Path(folder) / "config.json", DiffusersVideoUNet).to_native()
    path = Path(folder) / "diffusion_pytorch_model.safetensors"
    tensors, key_map = stored_tensors(path), layout.unet(config)
    part = Part(source=folder, network=VideoUNet, config=config, tensors=tensors, key_map=key_map)
    return part.load(dtype=dtype)
"""
THEIRS = """
from diffusers import UNetSpatioTemporalConditionModel

def load(folder, dtype):
    return UNetSpatioTemporalConditionModel.from_pretrained(folder, torch_dtype=dtype)
"""
MEASURE = """
import json, re, sys
from pathlib import Path
import torch

def status(name):
    # Not getrusage: its maximum begins with the size of the process that started this one.
    return 1024 * int(re.search(rf"{name}:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

before = status("VmRSS")
network = load(sys.argv[1], getattr(torch, sys.argv[2]))
peak = status("VmHWM")
weights = sum(parameter.nbytes for parameter in network.parameters())
print(json.dumps({"rose": peak - before, "weights": weights}))
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    print(f"{'stored':10}{'loaded':10}{'by':12}{'weights GB':>12}{'peak GB':>10}{'beyond weights':>16}")
    with tempfile.TemporaryDirectory() as folder:
        for stored in (torch.float32, torch.float16):
            write(Path(folder), stored)
            for loaded in ("float32", "float16"):
                for name, script in (("videoldm", OURS), ("diffusers", THEIRS)):
                    row = measure(script, folder, loaded)
                    beyond = row["rose"] / row["weights"] - 1
                    print(
                        f"{str(stored)[6:]:10}{loaded:10}{name:12}{row['weights'] / 1e9:12.2f}{row['rose'] / 1e9:10.2f}"
                        f"{beyond:16.1%}",
                        flush=True,
                    )


def write(folder: Path, dtype: torch.dtype) -> None:
    """A UNet of random weights in the folder of its network."""
    unet = random_unet(SVD.unet, dtype=dtype, device=torch.device("cpu"))
    config = DiffusersVideoUNet.from_native(unet.config, embedding_dim=256, num_frames=SVD.num_frames)
    (folder / "config.json").write_text(json.dumps(config.to_json()))
    weights = layout.unet(unet.config).to_foreign(unet.state_dict())
    save_file(weights, folder / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})


def measure(script: str, folder: str, dtype: str) -> dict[str, float]:
    """What a process of its own sees."""
    done = subprocess.run(
        [sys.executable, "-c", script + MEASURE, folder, dtype], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
