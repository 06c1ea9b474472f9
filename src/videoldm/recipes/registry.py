"""The recipes by name; torch-free."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from videoldm.core.config import from_yaml
from videoldm.core.errors import InputError, hint
from videoldm.core.reading import is_folder
from videoldm.recipes import camera_lora, discrete, distil, finetune, mini, svd, temporal_decoder
from videoldm.recipes.scale import MINI, PAPER, Scale
from videoldm.training.recipe import Recipe

MINI_STAGES: tuple[Callable[[], Recipe], ...] = (
    mini.mini_autoencoder,
    mini.mini_encoders,
    mini.mini_judge,
    mini.mini_image,
    mini.mini_video,
    mini.mini_video_from_scratch,
    mini.mini_text_to_video,
    mini.mini_image_to_video,
)
OF_FINISHED_MODELS: tuple[Callable[[Scale], Recipe], ...] = (
    camera_lora.camera_horizontal,
    camera_lora.camera_zooming,
    camera_lora.camera_static,
    camera_lora.style,
    finetune.dreambooth,
    distil.distil_text_to_video,
    distil.distil_image_to_video,
)
FROM_STABLE_DIFFUSION: tuple[Callable[[Scale], Recipe], ...] = (
    svd.svd_image_warmup,
    svd.svd_image,
    svd.svd_video_256x384,
    svd.svd_video_320x576,
    svd.svd_text_to_video_576x1024,
    svd.svd_image_to_video_320x576,
    svd.svd_image_to_video_576x1024,
    svd.svd_xt_image_to_video_576x1024,
    discrete.video_ldm_frames,
    discrete.video_ldm,
    discrete.svd_ablation,
    discrete.svd_ablation_from_scratch,
    discrete.svd_ablation_finetuned,
)


def _named(functions: Iterable[Callable[[], Recipe]]) -> Iterator[tuple[str, Callable[[], Recipe]]]:
    for function in functions:
        yield function.__name__.replace("_", "-"), function


def _at_both_scales(functions: Iterable[Callable[[Scale], Recipe]]) -> Iterator[tuple[str, Callable[[], Recipe]]]:
    for function in functions:
        for scale in (PAPER, MINI):
            yield scale.prefix + function.__name__.replace("_", "-"), partial(function, scale)


RECIPES: Mapping[str, Callable[[], Recipe]] = MappingProxyType(
    dict(
        [
            *_named(MINI_STAGES),
            *_at_both_scales([finetune.finetune]),
            *_named([camera_lora.mini_moving_camera]),
            *_at_both_scales(OF_FINISHED_MODELS),
            *_named([svd.mini_stable_diffusion]),
            *_at_both_scales(FROM_STABLE_DIFFUSION),
            *_named([temporal_decoder.mini_temporal_decoder, temporal_decoder.temporal_decoder]),
        ]
    )
)
"""In the order in which they can be run: later ones read what earlier ones export."""
LISTING = "videoldm train --list shows the recipes"


def find_recipe(name: str) -> Recipe:
    """Return the recipe of that name, or the one in a YAML file."""
    if name in RECIPES:
        return RECIPES[name]()
    path = Path(name)
    if path.suffix.lower() in (".yaml", ".yml") or os.path.isfile(name):  # noqa: PTH113 - Path.is_file raises for names that are too long
        return from_yaml(Recipe, _text(path), source=name)
    raise InputError(f"{name!r} is neither a recipe nor a YAML file, {hint(name, RECIPES, LISTING)}")


def _text(path: Path) -> str:
    if is_folder(path):
        raise InputError(f"{path}: is a folder, it should be a YAML file")
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not text, it should be a YAML file") from None
