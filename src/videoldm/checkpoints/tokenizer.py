"""The tokenizer of a text encoder: a few small files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from transformers import CLIPTokenizer

from videoldm.core.errors import InputError

ALTERNATIVES = (("tokenizer.json",), ("vocab.json", "merges.txt"))
"""Files of a tokenizer: one, or the two that older versions of transformers wrote."""
SETTINGS = ("added_tokens.json", "special_tokens_map.json", "tokenizer_config.json")
OPENCLIP_PAD_ID = 0
END = "<|endoftext|>"


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer in a folder in transformers' layout, which may hold other files too.

    pad_id: token that pads short prompts; None for the one in the tokenizer's own files.
    """

    folder: Path
    pad_id: int | None = None

    def exists(self) -> bool:
        """Return whether the folder holds a tokenizer."""
        return any(all((self.folder / name).is_file() for name in names) for names in ALTERNATIVES)

    def check(self) -> None:
        """Raise InputError if the folder holds no tokenizer."""
        if not self.exists():
            wanted = " nor ".join(" and ".join(names) for names in ALTERNATIVES)
            raise InputError(f"{self.folder}: has neither {wanted}, it should be the folder of a tokenizer")

    def files(self) -> list[Path]:
        """Return all files of the tokenizer."""
        names = {*(name for names in ALTERNATIVES for name in names), *SETTINGS}
        return sorted(self.folder / name for name in names if (self.folder / name).is_file())

    def load(self) -> CLIPTokenizer:
        """Load the tokenizer; raises InputError if there is none or it is broken."""
        self.check()
        try:
            if self.pad_id is None:
                return CLIPTokenizer.from_pretrained(self.folder)
            # As pad token, Stable Diffusion's "!" would not be read as text in prompts that contain it.
            return CLIPTokenizer.from_pretrained(self.folder, pad_token=END)
        except Exception as error:  # the library raises nothing more precise
            raise InputError(f"{self.folder}: cannot be read as a tokenizer: {error}") from error


def openclip_tokenizer(folder: Path) -> Tokenizer:
    """Return the tokenizer in a folder, used as by OpenCLIP, which pads with zeros."""
    return Tokenizer(folder, pad_id=OPENCLIP_PAD_ID)


def tokenizer_beside(file: Path) -> Tokenizer | None:
    """Find the tokenizer in the folder `tokenizer` beside a model's file, or in the file's own folder."""
    places = [openclip_tokenizer(folder) for folder in (file.parent / "tokenizer", file.parent)]
    return next((place for place in places if place.exists()), None)
