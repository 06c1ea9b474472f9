"""Files of weights: found in the folder of a network, and opened whether safetensors or pickles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from videoldm.checkpoints.storage.pickles import PickledTensor, is_pickle, pickled_tensors
from videoldm.checkpoints.storage.safetensors import INDEX_ENDING, StoredTensor, files_of, stored_tensors
from videoldm.checkpoints.storage.trust import are_pickles_trusted
from videoldm.core.errors import InputError

FileTensors = Mapping[str, StoredTensor | PickledTensor]
PICKLED_INDEX = f".bin{INDEX_ENDING}"


def tensors_in(path: Path) -> FileTensors:
    """List the tensors in a file of weights, or in all files that an index names.

    Raises InputError if one is broken, and for pickles outside of `pickles_trusted`.
    """
    if path.name.endswith(PICKLED_INDEX):
        parts = [tensors_in(path.with_name(name)) for name in files_of(path)]
        return {key: tensor for part in parts for key, tensor in part.items()}
    return pickled_tensors(path) if is_pickle(path) else stored_tensors(path)


def weights_file(folder: Path, stem: str, variant: str | None) -> Path:
    """Return the file with a network's weights, or the index of several files; raises InputError if there is none."""
    names = _names(stem, _variant_of(folder, stem, variant))
    found = [folder / name for name in names if (folder / name).is_file()]
    if found:
        return found[0]
    pickles = [folder / name for name in _pickled_names(stem, variant) if (folder / name).is_file()]
    if pickles and are_pickles_trusted():
        return pickles[0]
    if pickles:
        raise InputError(
            f"{pickles[0]}: is a pickle, which can run any code when it is read; --allow-pickle runs nothing"
        )
    raise InputError(f"{folder}: has no {names[0]}, it should hold the weights of a network")


def _variant_of(folder: Path, stem: str, wanted: str | None) -> str | None:
    """Return the variant to read: the given one if it exists, else the nameless one, else the only one."""
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


def _pickled_names(stem: str, variant: str | None) -> list[str]:
    """Return the names of pickles as diffusers and transformers write them."""
    stem = "pytorch_model" if stem == "model" else stem
    wanted = [] if variant is None else [f"{stem}.{variant}.bin"]
    return [*wanted, f"{stem}.bin", f"{stem}{PICKLED_INDEX}"]
