"""Output paths, decided and checked before any work starts; torch-free."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from videoldm.core.errors import InputError
from videoldm.core.files import check_writable
from videoldm.core.reading import is_folder
from videoldm.generation.inputs import ClipInputs
from videoldm.video.time import parse_rate

DEFAULT_FOLDER = Path("outputs")
MAX_SLUG_BYTES = 60


def slug(text: str) -> str:
    """Return `text` as part of a file name: lower case, letters and digits of any script, the rest as hyphens."""
    words = re.sub(r"[\W_]+", "-", text.lower()).strip("-")
    return words.encode()[:MAX_SLUG_BYTES].decode(errors="ignore").rstrip("-") or "clip"


def stems_of(inputs: Sequence[ClipInputs]) -> list[str]:
    """Return a name for the clips of each input: of its first file without the ending, or of its prompt.

    Files that differ only in their ending keep it.
    """
    paths = [one.files[0] for one in inputs if one.files]
    if not paths:
        return [slug(one.prompt or "") for one in inputs]
    counts = Counter(path.stem for path in paths)
    stems = [path.stem if counts[path.stem] == 1 else path.name.replace(".", "-") for path in paths]
    return stems if len(set(stems)) == len(stems) else [path.name for path in paths]


def output_paths(output: str | None, names: Sequence[Sequence[str]]) -> list[list[Path]]:
    """Return the paths of the clips with these default names, a row for each picture or prompt.

    A single clip goes to `output` itself, unless that is a folder of other things or ends in "/"; several go into the
    folder `output`.
    """
    if output is None:
        return [[DEFAULT_FOLDER / name for name in row] for row in names]
    path, is_named_as_folder = Path(output), output.endswith("/")
    if [len(row) for row in names] == [1] and not is_named_as_folder and not _is_folder_for_clips(path):
        return [[path]]
    if path.suffix and not is_named_as_folder and not is_folder(path):
        raise InputError(f"{output}: is the name of one file, several clips need the name of a folder")
    return [[path / name for name in row] for row in names]


def check_outputs(paths: Sequence[Path], *, inputs: Sequence[Path], num_frames: int, output_fps: float) -> None:
    """Raise InputError for whatever would go wrong when the clips are written."""
    from videoldm.video.metadata import sidecar_path
    from videoldm.video.write import check_output

    given = {path.resolve() for path in inputs}
    for path in paths:
        if path.resolve() in given:
            raise InputError(f"{path}: is the input, give the output another name")
        check_output(path, parse_rate(output_fps, name="output_fps"), num_frames=num_frames)
        if path.suffix:
            check_writable(path)
        elif os.path.lexists(path) and not is_folder(path):
            raise InputError(f"{path}: is a file, frames need the name of a folder")
        check_writable(sidecar_path(path))


def _is_folder_for_clips(path: Path) -> bool:
    """Whether `path` is a folder that is not one of frames from an earlier run, which a new run replaces."""
    try:
        names = os.listdir(path)  # noqa: PTH208
    except OSError:
        return is_folder(path)
    return not names or not all(re.fullmatch(r"frame_\d+\.png", name) for name in names)
