"""Weights in installed packages: found without importing them, and none but the known file is read."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from videoldm.assets.packaged import EFFICIENTNET_LITE0, PackagedFile
from videoldm.core.errors import InputError


def test_the_file_of_the_extra_is_the_known_one() -> None:
    path = EFFICIENTNET_LITE0.find()
    assert path is not None
    assert path.stat().st_size == 18_826_032
    assert EFFICIENTNET_LITE0.package not in sys.modules


def test_another_file_is_refused_and_a_missing_package_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "some_weights"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "weights.pth").write_bytes(b"right")
    monkeypatch.syspath_prepend(tmp_path)
    file = PackagedFile(
        package="some_weights",
        distribution="some-weights 1.0",
        path="weights.pth",
        sha256=hashlib.sha256(b"right").hexdigest(),
        licence="MIT",
        extra="curate",
    )
    assert file.find() == package / "weights.pth"
    assert replace(file, package="no_such_weights").find() is None
    (package / "weights.pth").write_bytes(b"wrong")
    with pytest.raises(InputError, match=r"weights\.pth: is not the file of some-weights 1\.0, install that"):
        file.find()
