"""Devices by the names that users give them; torch-free until one is looked up."""

from __future__ import annotations

from videoldm.core.errors import InputError


def find_device(name: str | None) -> str:
    """Return the device as torch calls it, the first GPU for None; raise InputError if there is none of that name."""
    import torch

    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if kind == "cpu" and not index:
        return name
    num_gpus = torch.cuda.device_count()
    if kind == "cuda" and (index or "0").isdecimal() and int(index or "0") < num_gpus:
        return name
    gpus = "".join(f", cuda:{number}" for number in range(num_gpus))
    raise InputError(f"device is {name!r}, on this machine it should be cpu{gpus}")
