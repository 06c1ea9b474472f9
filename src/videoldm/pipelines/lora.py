"""LoRAs as users name them and as clips remember them; torch-free."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from videoldm.core.config import Config, Finite
from videoldm.core.errors import InputError
from videoldm.core.progress import notice
from videoldm.core.reading import file_hash

if TYPE_CHECKING:
    from videoldm.models.adapters.low_rank import Adapter
    from videoldm.models.unet.network import VideoUNet


class LoraChoice(Config):
    """A LoRA's file or folder, how strongly it acts, and what its content was."""

    path: str
    weight: Finite = 1.0
    content_hash: str | None = None


def parse_loras(text: str) -> tuple[LoraChoice, ...]:
    """The LoRAs in "FILE[:WEIGHT],FILE[:WEIGHT]..."; raises InputError if one is not there."""
    return tuple(_parse(part) for part in text.split(","))


def check_loras(loras: tuple[LoraChoice, ...]) -> None:
    """Refuse LoRAs that have changed since a clip was made with them."""
    for lora in loras:
        if lora.content_hash not in (None, _content_hash(lora.path)):
            raise InputError(f"{lora.path}: is not the LoRA that the clip was made with, its content differs")


def read_adapters(
    unet: VideoUNet, own: Path | None, loras: tuple[LoraChoice, ...], *, has_one_token: bool
) -> list[Adapter]:
    """LoRAs for a UNet, which needs no weights for this: the model's own, if it has one, and those of the user.

    Says what of the user's fits. See `read_lora` for errors.
    """
    from videoldm.checkpoints.lora.read import read_lora
    from videoldm.models.adapters.low_rank import Adapter

    files = [read_lora(lora.path, unet, has_one_token=has_one_token) for lora in loras]
    for file in files:
        notice(file.summary())
    chosen = [Adapter(file.lora, choice.weight) for file, choice in zip(files, loras, strict=True)]
    if own is None:
        return chosen
    return [Adapter(read_lora(own, unet, has_one_token=has_one_token).lora), *chosen]


def _parse(part: str) -> LoraChoice:
    if not part.strip():
        raise InputError("lora is '', it should be FILE[:WEIGHT],FILE[:WEIGHT]...")
    path, colon, weight = part.rpartition(":")
    if not colon or Path(part).exists():
        return LoraChoice(path=part, content_hash=_content_hash(part))
    try:
        return LoraChoice(path=path, weight=float(weight), content_hash=_content_hash(path))
    except ValueError:  # also pydantic's, for NaN and infinity
        raise InputError(f"lora is {part!r}, what follows the colon should be a weight such as 0.8") from None


def _content_hash(path: str) -> str:
    from videoldm.checkpoints.lora.read import lora_file

    return file_hash(lora_file(Path(path)))
