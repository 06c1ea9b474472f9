"""Configuration and stored facts of the feature network; imports no torch."""

from pydantic import Field, PositiveInt, model_validator

from videoldm.core.config import Config


class FeatureNetworkConfig(Config):
    """Size of the network and what it names.

    `heads` maps each thing that is judged ("shape", "colour", ...) to its class names, in label order.
    """

    heads: dict[str, tuple[str, ...]]
    frame_px: int = Field(default=64, ge=16)
    """Frames are resized to squares of this side."""
    widths: tuple[PositiveInt, ...] = (32, 64, 80)
    """Channels of each level; the first works at a quarter of the frame's side, each further one at half the side."""
    num_blocks: int = Field(default=1, ge=1)
    """Residual blocks a level."""
    embedding_width: int = Field(default=128, ge=1)
    norm_group_width: int = Field(default=8, ge=1)
    """Channels a group of the normalisation."""

    @model_validator(mode="after")
    def _is_buildable(self) -> "FeatureNetworkConfig":
        if not self.heads or any(len(set(names)) < 2 or len(set(names)) != len(names) for names in self.heads.values()):
            raise ValueError(f"heads is {self.heads}, each head needs at least two different class names")
        if not self.widths or any(width % self.norm_group_width for width in self.widths):
            raise ValueError(f"widths is {self.widths}, each should be a multiple of {self.norm_group_width}")
        factor = 4 * 2 ** (len(self.widths) - 1)
        if self.frame_px % factor:
            raise ValueError(f"frame_px is {self.frame_px}, it should be a multiple of {factor}")
        return self


class HeadAccuracy(Config):
    """How often a head named the right class on clips it was not trained on."""

    num_correct: int = Field(ge=0)
    num_clips: int = Field(ge=1)

    @property
    def fraction(self) -> float:
        """The share of right answers."""
        return self.num_correct / self.num_clips


class FeatureNetworkCard(Config):
    """What is stored beside the weights."""

    network: FeatureNetworkConfig
    accuracy: dict[str, HeadAccuracy] = Field(default_factory=dict)
    """Of each head; empty for an untrained network."""
    measured_on: str = ""
    """The clips behind `accuracy`: how many, from where, which seed."""
