"""The recipes by name; torch-free."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from videoldm.recipes import mini, temporal_decoder
from videoldm.training.recipe import Recipe

FUNCTIONS: tuple[Callable[[], Recipe], ...] = (
    mini.mini_autoencoder,
    mini.mini_encoders,
    mini.mini_judge,
    mini.mini_image,
    mini.mini_video,
    mini.mini_video_from_scratch,
    mini.mini_text_to_video,
    mini.mini_image_to_video,
    temporal_decoder.mini_temporal_decoder,
    temporal_decoder.temporal_decoder,
)
"""In the order in which they can be run: later ones read what earlier ones export."""

RECIPES: Mapping[str, Callable[[], Recipe]] = MappingProxyType(
    {function.__name__.replace("_", "-"): function for function in FUNCTIONS}
)
