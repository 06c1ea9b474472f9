"""Settings that a video was made with: stored in the file itself and in a JSON file beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from PIL import Image

from videoldm.core.errors import InputError
from videoldm.core.files import write_text
from videoldm.core.reading import existing_file, read_json
from videoldm.video.opening import open_video

KEY = "videoldm"
EXIF_DESCRIPTION = 0x010E
_PICTURES = {".gif", ".webp", ".png"}


def pack(metadata: Mapping[str, Any]) -> str:
    """Return `metadata` as one line of ASCII JSON, which every container keeps; raises InputError for other values."""
    return json.dumps(_wrapped(metadata))


def unpack(text: str | bytes | None) -> dict[str, Any] | None:
    """Parse text that `pack` returned, None for any other text (another program's comment)."""
    try:
        value = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    return _unwrapped(value)


def sidecar_path(path: str | Path) -> Path:
    """Return the path of the JSON file beside a video or folder of frames: its full name with ".json" added."""
    path = Path(path)
    return path.with_name(f"{path.name}.json")


def write_sidecar(path: str | Path, metadata: Mapping[str, Any] | None) -> None:
    """Write `metadata` to the JSON file beside `path`; with None, remove the one of an earlier video."""
    beside = sidecar_path(path)
    if metadata is not None:
        write_text(beside, _readable(_wrapped(metadata)))
    elif _is_ours(beside):
        beside.unlink()


def read_metadata(path: str | Path) -> dict[str, Any] | None:
    """Read the settings stored with a video, picture or folder of frames; None if there are none.

    Settings in the file itself come first, then those of the JSON file beside it; `path` may be such a JSON file too.
    Raises InputError if neither the file nor a JSON file beside it can be read.
    """
    path = Path(path)
    if path.suffix.lower() == ".json":
        return _unwrapped(read_json(existing_file(path, kind="a JSON file with the settings of a video")))
    try:
        own = _read_own(path)
    except InputError:
        beside = _read_sidecar(sidecar_path(path))
        if beside is None:
            raise
        return beside
    return own if own is not None else _read_sidecar(sidecar_path(path))


def _read_own(path: Path) -> dict[str, Any] | None:
    if path.is_dir():
        first = min(path.glob("*.png"), default=None)
        return None if first is None else _read_picture(first)
    existing_file(path, kind="a video")
    return _read_picture(path) if path.suffix.lower() in _PICTURES else _read_container(path)


def _read_container(path: Path) -> dict[str, Any] | None:
    with open_video(path) as (container, _):
        # Matroska writes its tags in capitals.
        tags = {name.lower(): value for name, value in container.metadata.items()}
    return unpack(tags.get("comment"))


def _read_picture(path: Path) -> dict[str, Any] | None:
    try:
        with Image.open(path, formats=("GIF", "WEBP", "PNG")) as image:
            image.load()  # text chunks may come after the pixels
            candidates = (image.info.get("comment"), image.info.get(KEY), image.getexif().get(EXIF_DESCRIPTION))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: is broken, or not a {path.suffix.lower()} file") from error
    found = (unpack(candidate) for candidate in candidates if isinstance(candidate, (str, bytes)))
    return next((metadata for metadata in found if metadata is not None), None)


def _is_ours(beside: Path) -> bool:
    try:
        return _read_sidecar(beside) is not None
    except InputError:
        return False


def _read_sidecar(path: Path) -> dict[str, Any] | None:
    return _unwrapped(read_json(path)) if path.is_file() else None


def _wrapped(metadata: Mapping[str, Any]) -> dict[str, Any]:
    value = {KEY: dict(metadata)}
    try:
        if json.loads(json.dumps(value, allow_nan=False)) == value:
            return value
    except (TypeError, ValueError) as error:
        raise InputError(f"metadata should be plain JSON values: {error}") from None
    raise InputError("metadata should be plain JSON values: text keys, lists instead of tuples")


def _unwrapped(value: object) -> dict[str, Any] | None:
    inner = cast("dict[str, Any]", value).get(KEY) if isinstance(value, dict) else None
    return cast("dict[str, Any]", inner) if isinstance(inner, dict) else None


def _readable(value: dict[str, Any]) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # lone surrogates, as a terminal with another encoding gives them
        text = json.dumps(value, indent=2)
    return text + "\n"
