"""Videos, pictures and folders of frames as plain values."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path
from typing import Any

from videoldm.core.errors import InputError
from videoldm.core.reading import existing_file
from videoldm.video.picture_files import PICTURE_ENDINGS

WITH_SETTINGS = (".gif", ".webp", ".png", ".json")
SURE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000")


def describe_file(path: Path) -> dict[str, Any]:
    """A file by its content: a picture, a video, or else the settings of one."""
    existing_file(path, kind="a video or a picture")
    if path.suffix.lower() == ".json":
        return describe_settings(path)
    return describe_picture(path) if _is_picture(path) else describe_video(path)


def describe_video(path: Path) -> dict[str, Any]:
    """Return what probing finds, and the settings stored in or beside the file."""
    from videoldm.video.metadata import read_metadata
    from videoldm.video.probe import probe

    info = probe(path)
    streams = [{**_plain(dataclasses.asdict(stream)), "duration": str(stream.duration)} for stream in info.streams]
    return {
        "kind": "video",
        "file": str(path),
        "container": info.container,
        "bytes": info.size_bytes,
        "audio_streams": info.num_audio_streams,
        "default_stream": info.default_stream,
        "streams": streams,
        "settings": read_metadata(path),
    }


def describe_picture(path: Path) -> dict[str, Any]:
    """A still or animated picture; raises InputError if it is not whole."""
    from PIL import Image

    from videoldm.video.picture import load_picture

    height, width, _ = load_picture(path).shape
    with Image.open(path) as image:
        kind, mode, num_frames = image.format, image.mode, getattr(image, "n_frames", 1)
    return {
        "kind": "picture",
        "file": str(path),
        "format": kind,
        "mode": mode,
        "width": width,
        "height": height,
        "frames": num_frames,
        "bytes": path.stat().st_size,
        "settings": _settings(path),
    }


def describe_frames(folder: Path) -> dict[str, Any]:
    """A folder of PNG frames."""
    frames = sorted(folder.glob("frame_*.png"))
    num_bytes = sum(frame.stat().st_size for frame in frames)
    first = describe_picture(frames[0])
    return {**first, "kind": "frames", "file": str(folder), "frames": len(frames), "bytes": num_bytes}


def describe_settings(path: Path) -> dict[str, Any]:
    """The JSON file beside a clip."""
    settings = _settings(path)
    if settings is None:
        raise InputError(f"{path}: holds no settings of a clip")
    return {"kind": "settings", "file": str(path), "settings": settings}


def _settings(path: Path) -> dict[str, Any] | None:
    from videoldm.video.metadata import read_metadata

    return read_metadata(path) if path.suffix.lower() in WITH_SETTINGS else None


def _is_picture(path: Path) -> bool:
    """By content or by name; what is wrong with a picture is found when it is read."""
    from PIL import Image

    if path.suffix.lower() in PICTURE_ENDINGS:
        return True
    try:
        Image.open(path, formats=SURE_FORMATS).close()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    return True


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Fractions and tuples as JSON has them."""
    return {name: _plain_value(value) for name, value in values.items()}


def _plain_value(value: Any) -> Any:
    match value:
        case Fraction():
            return str(value)
        case dict():
            return _plain(value)
        case tuple() | list():
            return [_plain_value(item) for item in value]
        case _:
            return value
