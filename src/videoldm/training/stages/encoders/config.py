"""Training of the text and the image encoder; torch-free."""

from typing import Literal

from videoldm.core.config import Config
from videoldm.models.clip.config import ImageEncoderConfig, TextEncoderConfig
from videoldm.training.data.config import WorldData


class EncodersStage(Config):
    """A text and an image encoder that agree on which caption belongs to which frame (CLIP)."""

    kind: Literal["encoders"] = "encoders"
    text: TextEncoderConfig
    image: ImageEncoderConfig
    data: WorldData
    validation: WorldData
