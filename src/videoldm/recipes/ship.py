"""Gather what the mini recipes exported into one model folder, in 16 bits.

python -m videoldm.recipes.ship runs src/videoldm/assets/mini
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from videoldm.core.errors import InputError
from videoldm.core.files import atomic_file, atomic_folder
from videoldm.pipelines.folder import RECIPE_FILE
from videoldm.recipes.registry import RECIPES
from videoldm.training.folder import CONFIG_FILE, EXPORT

SHIPPED = ("mini-autoencoder", "mini-encoders", "mini-judge", "mini-text-to-video", "mini-image-to-video")
"""The recipes whose exports make up the model; what each contributes is said by its stage."""
MAX_FILE_BYTES, MAX_BYTES = 12_000_000, 25_000_000


def shipped_parts() -> Mapping[str, Path]:
    """Parts of the model folder, each with its place among the runs."""
    return {
        part: Path(name, EXPORT, place)
        for name in SHIPPED
        for part, place in RECIPES[name]().stage.exported_parts.items()
    }


def ship(runs: Path, target: Path) -> int:
    """Write the model folder, with the recipe of each part, and return its size in bytes.

    Raises InputError if a part is missing or too large.
    """
    parts = shipped_parts()
    missing = [str(place) for place in parts.values() if not (runs / place).is_dir()]
    if missing:
        raise InputError(f"{runs}: {', '.join(missing)} missing; run the recipes that export them first")
    with atomic_folder(target, replace=True) as folder:
        for part, place in parts.items():
            shutil.copytree(runs / place, folder / part)
            shutil.copyfile(runs / place.parts[0] / CONFIG_FILE, folder / part / RECIPE_FILE)
        for path in folder.rglob("*.safetensors"):
            _halve(path)
        sizes = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
        too_large = [f"{path.name} {size / 1e6:.1f} MB" for path, size in sizes.items() if size > MAX_FILE_BYTES]
        if too_large or sum(sizes.values()) > MAX_BYTES:
            raise InputError(f"{target}: {sum(sizes.values()) / 1e6:.1f} MB, {too_large}: more than may be shipped")
    return sum(sizes.values())


def _halve(path: Path) -> None:
    """Store floating-point tensors as float16."""
    tensors = {name: t.to(torch.float16) if t.is_floating_point() else t for name, t in load_file(path).items()}
    with atomic_file(path) as partial:
        save_file({name: t.contiguous() for name, t in tensors.items()}, partial, metadata={"format": "pt"})


def main() -> None:
    """Ship from the folder of runs to the model's folder."""
    if len(sys.argv) != 3:
        sys.exit("usage: python -m videoldm.recipes.ship RUNS MODEL_FOLDER")
    try:
        print(f"{ship(Path(sys.argv[1]), Path(sys.argv[2])) / 1e6:.1f} MB")
    except InputError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
