"""Which file of a network's folder holds its weights."""

from __future__ import annotations

from pathlib import Path

from videoldm.checkpoints.stored import INDEX_ENDING
from videoldm.core.errors import InputError

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def refuse_pickle(path: Path) -> None:
    """Raise InputError for a file that runs code when it is read."""
    if path.suffix in PICKLES:
        raise InputError(
            f"{path}: is a pickle, which can run any code when it is read: convert it to safetensors where you trust it"
        )


def weights_file(folder: Path, stem: str, variant: str | None) -> Path:
    """The file with a network's weights, or the index of several; raises InputError if there is none."""
    names = _names(stem, _variant_of(folder, stem, variant))
    found = [folder / name for name in names if (folder / name).is_file()]
    if found:
        return found[0]
    pickles = sorted(path.name for path in folder.glob(f"{stem}*") if path.suffix in PICKLES)
    for path in pickles:
        refuse_pickle(folder / path)
    raise InputError(f"{folder}: has no {names[0]}, it should hold the weights of a network")


def _variant_of(folder: Path, stem: str, wanted: str | None) -> str | None:
    """The variant to read: the one asked for if it is there, else the nameless one, else the only one there is."""
    if wanted is not None and any((folder / name).is_file() for name in _names(stem, wanted)):
        return wanted
    if any((folder / name).is_file() for name in _names(stem, None)):
        return None
    others = {path.name.split(".")[1] for path in folder.glob(f"{stem}.*.safetensors*")}
    return others.pop() if len(others) == 1 else None


def _names(stem: str, variant: str | None) -> list[str]:
    ending = ".safetensors" if variant is None else f".{variant}.safetensors"
    index = f"{stem}.safetensors{INDEX_ENDING.removesuffix('.json')}"
    return [f"{stem}{ending}", f"{index}.json" if variant is None else f"{index}.{variant}.json"]
