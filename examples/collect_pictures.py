"""Copy free pictures of scikit-image into a folder, to train mini on them.

    python examples/collect_pictures.py runs/pictures

According to scikit-image's own list (`skimage/data/_fetchers.py`) they are in the public domain or CC0, coins and ihc
have no known copyright restrictions, and nothing is said of moon. The demo's photograph is left out: training must not
see it.
"""

import shutil
import sys
from pathlib import Path

import skimage

NAMES = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "moon.png",
    "retina.jpg",
    "rocket.jpg",
)


def main() -> None:
    """Copy the pictures and print their paths."""
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        shutil.copy(Path(skimage.__file__).parent / "data" / name, target / name)
        print(target / name)


if __name__ == "__main__":
    main()
