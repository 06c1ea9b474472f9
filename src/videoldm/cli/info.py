"""`videoldm info`: what a model, a part of one, a video, a picture or a folder of frames is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import tyro

from videoldm.checkpoints.storage.file_names import INDEX_FILE, WEIGHTS_ENDINGS
from videoldm.cli.describe_media import describe_file, describe_frames
from videoldm.cli.options import OPTIONS, PickleOption, Verb, trust_in_pickles
from videoldm.cli.tables import show
from videoldm.core.errors import InputError
from videoldm.core.reading import is_folder
from videoldm.diffusion.config import PredictionType
from videoldm.pipelines.describe import describe_component, describe_model, describe_task
from videoldm.pipelines.folder import COMPONENT_FILE, TASK_FILE
from videoldm.pipelines.open import may_be_model
from videoldm.pipelines.reference import ModelRef

DESCRIPTION = """Tell what a model or a video is: sizes, defaults, and the settings that made it.

examples:
  videoldm info mini
  videoldm info clip.mp4
  videoldm info runs/mini-video/export/unet --json
"""


class InfoOptions(PickleOption):
    """Target and format."""

    model_config = OPTIONS

    target: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="MODEL|FOLDER|FILE")]]
    """A model that is in the package, the folder of a model or of one of its parts, a video, a picture, or a folder of
    PNG frames."""
    prediction_type: PredictionType | None = None
    """What a single file of Stable Diffusion 2.1 predicts: epsilon (noise) or v_prediction."""
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object."""


def run(options: InfoOptions) -> None:
    """Print the description."""
    with trust_in_pickles(options):
        description = describe(options.target, options.prediction_type)
    if options.json_:
        print(json.dumps(description))
    else:
        show(description)


def describe(target: str, prediction: PredictionType | None = None) -> Mapping[str, Any]:
    """Everything that is known of `target`, as plain JSON values; its `kind` says what it is."""
    model = ModelRef(name=target, prediction_type=prediction)
    path = Path(target)
    if is_folder(path):
        for sign, function in _FOLDERS.items():
            if any(path.glob(sign)):
                return function(path)
        if (path / "autoencoder").is_dir() or (path / INDEX_FILE).is_file():
            return describe_model(model)
        raise InputError(f"{target}: holds no model, no part of one and no frames (frame_00000.png, ...)")
    if path.suffix not in WEIGHTS_ENDINGS and os.path.lexists(path):
        return describe_file(path)
    if not (os.path.lexists(path) or may_be_model(target)):
        raise InputError(f"{target}: does not exist, and no model of the package has that name")
    return describe_model(model)


_FOLDERS: Mapping[str, Callable[[Path], dict[str, Any]]] = {
    TASK_FILE: describe_task,
    COMPONENT_FILE: describe_component,
    "frame_*.png": describe_frames,
}
"""A file that marks a kind of folder, and what describes such folders."""

VERB = Verb(name="info", options=InfoOptions, run=run, description=DESCRIPTION, positional=("target",))
