"""What a run reads beside its recipe: where it lies, whether it is there, and whether it is what the run began with."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from videoldm.core.errors import InputError
from videoldm.core.reading import file_hash, files_hash, read_mapping
from videoldm.training.data.config import CuratedData
from videoldm.training.folder import EXPORT, INPUTS_FILE
from videoldm.training.stages.autoencoder.config import AutoencoderStage
from videoldm.training.stages.diffusion.config import DiffusionStage, FromModel
from videoldm.training.stages.dreambooth.config import DreamBoothStage, PriorPreservation
from videoldm.training.stages.encoders.config import EncodersStage
from videoldm.training.stages.judge.config import JudgeStage
from videoldm.training.stages.lora.config import LoraStage
from videoldm.training.stages.places import judge_folder, local_path
from videoldm.training.stages.stage import Stage
from videoldm.training.stages.temporal_decoder.config import FeatureLoss, TemporalDecoderStage
from videoldm.video.picture_files import pictures_in

PICTURES = {"stage.subject.folder", "stage.prior.pictures.folder"}
"""Keys of folders with pictures that a user brings."""


def check_inputs(stage: Stage) -> None:
    """Raises InputError for what a stage reads and is not there, or has no clips for a bucket."""
    for key, place in inputs_of(stage).items():
        if not place.exists():
            raise InputError(
                f"{key} is {str(place)!r}, there is no such folder: {_how_to_make(key, place)}, or give {key}=FOLDER"
            )
        if key in PICTURES:
            pictures_in(place)
    for key, data in curated_inputs(stage).items():
        try:
            _fingerprint(data)
        except InputError as error:
            raise InputError(f"{key}: {error}") from None


def check_unchanged(stage: Stage, folder: Path) -> None:
    """Refuse to go on with a run whose inputs have changed since it began."""
    if not (folder / INPUTS_FILE).exists():
        return
    began_with = read_mapping(folder / INPUTS_FILE)
    for key, content in input_hashes(stage).items():
        if began_with.get(key) != content:
            place = curated_inputs(stage)[key].folder if key in curated_inputs(stage) else inputs_of(stage)[key]
            raise InputError(
                f"{folder}: its run began with other files in {place} ({key}): bring them back, or start a new run "
                f"with -o"
            )


def input_hashes(stage: Stage) -> dict[str, str]:
    """What identifies the content of the folders and files that a stage reads."""
    hashes = {
        key: file_hash(place) if place.is_file() else files_hash(place, place.rglob("*"))
        for key, place in inputs_of(stage).items()
    }
    return hashes | {key: _fingerprint(data) for key, data in curated_inputs(stage).items()}


def curated_inputs(stage: Stage) -> dict[str, CuratedData]:
    """The curated clips that a stage reads, by the key that names each; they are told by their index alone."""
    if not isinstance(stage, DiffusionStage | LoraStage | TemporalDecoderStage):
        return {}
    both = {"stage.data": stage.data, "stage.validation": stage.validation}
    return {key: data for key, data in both.items() if isinstance(data, CuratedData)}


def _fingerprint(data: CuratedData) -> str:
    """Changes with the clips that can be used; raises InputError if there are none for a bucket."""
    from videoldm.training.data.choose import choose_for_training

    return choose_for_training(data).source.fingerprint


def inputs_of(stage: Stage) -> dict[str, Path]:
    """What a stage reads on this machine, by the key that names each; what comes from the hub is not among it."""
    places: dict[str, Path | None]
    match stage:
        case AutoencoderStage(pictures=pictures):
            places = {"stage.pictures": Path(pictures)} if pictures else {}
        case EncodersStage() | JudgeStage():
            places = {}
        case DiffusionStage(autoencoder=autoencoder, encoders=encoders, start=start, panned_pictures=pictures):
            places = {"stage.autoencoder": local_path(autoencoder), "stage.encoders": local_path(encoders)}
            if pictures:
                places["stage.panned_pictures.folder"] = Path(pictures.folder)
            if isinstance(start, FromModel):
                places["stage.start.model"] = local_path(start.model)
        case LoraStage(base=base, panned_pictures=pictures):
            places = {"stage.base": local_path(base)}
            if pictures:
                places["stage.panned_pictures.folder"] = Path(pictures.folder)
        case DreamBoothStage(base=base, subject=subject, prior=prior):
            places = {"stage.base": local_path(base), "stage.subject.folder": Path(subject.folder)}
            if isinstance(prior, PriorPreservation):
                places["stage.prior.pictures.folder"] = Path(prior.pictures.folder)
        case TemporalDecoderStage(autoencoder=autoencoder, perceptual=perceptual):
            places = {"stage.autoencoder": local_path(autoencoder)}
            if isinstance(perceptual, FeatureLoss):
                places["stage.perceptual.judge"] = judge_folder(perceptual.judge)
        case _:
            assert_never(stage)
    return {key: place for key, place in places.items() if place is not None}


def _how_to_make(key: str, place: Path) -> str:
    """Runs export into runs/RECIPE/export; what else a stage reads are pictures, of anything or of a subject."""
    if place.name == EXPORT:
        return f"make it first with videoldm train {place.parent.name}"
    if key in PICTURES:
        return "put pictures there"
    return f"make it first with python examples/collect_pictures.py {place}"
