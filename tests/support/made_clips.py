"""What the tests of `videoldm generate` ask for and look at."""

from pathlib import Path

import numpy as np
from PIL import Image

from videoldm.video.read import read_frames

FEW = ("--num-inference-steps", 1, "--num-frames", 1)


def frames(path: Path) -> np.ndarray:
    """The frames of a clip in a file, or in a folder of PNG files."""
    if path.is_dir():
        return np.stack([np.asarray(Image.open(file)) for file in sorted(path.glob("*.png"))])
    return np.stack([frame.pixels for frame in read_frames(path)])
