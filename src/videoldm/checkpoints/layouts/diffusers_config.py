"""Configurations of diffusers' video models, read from `config.json`, converted to ours and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from videoldm.core.errors import InputError
from videoldm.core.reading import read_mapping
from videoldm.models.autoencoder.config import AutoencoderConfig, TemporalDecoder
from videoldm.models.unet.config import PlacedNormEps, UNetConfig

D = TypeVar("D", bound="DiffusersConfig")


class DiffusersConfig(BaseModel):
    """Values that we read of one class's config; the default of a missing value is that of the class."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    class_name: ClassVar[str]
    relatives: ClassVar[tuple[str, ...]] = ()
    """Names of other classes with the same config."""

    def to_json(self) -> dict[str, Any]:
        """Return the content of a `config.json`."""
        return {"_class_name": self.class_name, **self.model_dump(mode="json")}


class DiffusersVideoUNet(DiffusersConfig):
    """A `UNetSpatioTemporalConditionModel`."""

    class_name: ClassVar[str] = "UNetSpatioTemporalConditionModel"
    in_channels: int = 8
    out_channels: int = 4
    block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    down_block_types: tuple[str, ...] = (*("CrossAttnDownBlockSpatioTemporal",) * 3, "DownBlockSpatioTemporal")
    up_block_types: tuple[str, ...] = ("UpBlockSpatioTemporal", *("CrossAttnUpBlockSpatioTemporal",) * 3)
    layers_per_block: int = 2
    transformer_layers_per_block: int = 1
    num_attention_heads: int | tuple[int, ...] = (5, 10, 20, 20)
    cross_attention_dim: int = 1024
    addition_time_embed_dim: int = 256
    projection_class_embeddings_input_dim: int = 768
    num_frames: int = 25

    def to_native(self) -> UNetConfig:
        """Return our configuration of the same network."""
        return UNetConfig(
            in_channels=self.out_channels,
            concat_channels=self.in_channels - self.out_channels,
            out_channels=self.out_channels,
            channels=self.block_out_channels,
            num_res_blocks=self.layers_per_block,
            attention_levels=tuple(name.startswith("CrossAttn") for name in self.down_block_types),
            head_channels=self._head_channels(),
            transformer_depth=self.transformer_layers_per_block,
            context_dim=self.cross_attention_dim,
            vector_dim=self.projection_class_embeddings_input_dim,
            norm_eps=PlacedNormEps(),
        )

    @classmethod
    def from_native(cls, config: UNetConfig, *, embedding_dim: int, num_frames: int) -> Self:
        """Return diffusers' configuration of one of our networks; `embedding_dim` is that of each signal in the vector.

        Raises InputError if diffusers has no such network.
        """
        if config.reads_frame_mask:
            raise InputError(f"a {cls.class_name} has no channel for a frame mask")
        has_attention = config.attention_levels
        return cls(
            in_channels=config.in_channels + config.concat_channels,
            out_channels=config.out_channels,
            block_out_channels=config.channels,
            down_block_types=tuple(f"{_kind(has)}DownBlockSpatioTemporal" for has in has_attention),
            up_block_types=tuple(f"{_kind(has)}UpBlockSpatioTemporal" for has in reversed(has_attention)),
            layers_per_block=config.num_res_blocks,
            transformer_layers_per_block=config.transformer_depth,
            num_attention_heads=tuple(
                width // config.head_channels_at(level) for level, width in enumerate(config.channels)
            ),
            cross_attention_dim=config.context_dim,
            addition_time_embed_dim=embedding_dim,
            projection_class_embeddings_input_dim=config.vector_dim or 0,
            num_frames=num_frames,
        )

    def _head_channels(self) -> int:
        heads, widths = self.num_attention_heads, self.block_out_channels
        sizes = {
            w / h for w, h in zip(widths, heads if isinstance(heads, tuple) else [heads] * len(widths), strict=True)
        }
        if len(sizes) > 1 or not min(sizes).is_integer():
            raise InputError(f"num_attention_heads is {heads}, heads of all levels should have the same width")
        return int(min(sizes))


class DiffusersVideoAutoencoder(DiffusersConfig):
    """An `AutoencoderKLTemporalDecoder`."""

    class_name: ClassVar[str] = "AutoencoderKLTemporalDecoder"
    in_channels: int = 3
    out_channels: int = 3
    block_out_channels: tuple[int, ...] = (64,)
    down_block_types: tuple[str, ...] = ("DownEncoderBlock2D",)
    layers_per_block: int = 1
    latent_channels: int = 4
    sample_size: int = 32
    scaling_factor: float = 0.18215
    force_upcast: bool = True

    def to_native(self) -> AutoencoderConfig:
        """Return our configuration of the same network."""
        return AutoencoderConfig(
            pixel_channels=self.in_channels,
            latent_channels=self.latent_channels,
            channels=self.block_out_channels,
            num_res_blocks=self.layers_per_block,
            project_latents=False,
            decoder=TemporalDecoder(),
            scaling_factor=self.scaling_factor,
        )

    @classmethod
    def from_native(cls, config: AutoencoderConfig, *, sample_size: int) -> Self:
        """Return diffusers' configuration of one of our networks; `sample_size` is the side of training pictures."""
        return cls(
            in_channels=config.pixel_channels,
            out_channels=config.pixel_channels,
            block_out_channels=config.channels,
            down_block_types=("DownEncoderBlock2D",) * len(config.channels),
            layers_per_block=config.num_res_blocks,
            latent_channels=config.latent_channels,
            sample_size=sample_size,
            scaling_factor=config.scaling_factor,
        )


class EulerScheduler(DiffusersConfig):
    """An `EulerDiscreteScheduler`, of which we read the noise levels and the parameterisation."""

    class_name: ClassVar[str] = "EulerDiscreteScheduler"
    prediction_type: str = "epsilon"
    timestep_type: str = "discrete"
    use_karras_sigmas: bool | None = False
    sigma_min: float | None = Field(default=None, gt=0)
    sigma_max: float | None = Field(default=None, gt=0)

    def to_json(self) -> dict[str, Any]:
        """Return the content of a `scheduler_config.json`, with the values of SVD's repository that we do not read."""
        return super().to_json() | {
            "beta_schedule": "scaled_linear",
            "beta_start": 0.00085,
            "beta_end": 0.012,
            "timestep_spacing": "leading",
            "steps_offset": 1,
            "num_train_timesteps": 1000,
        }


def svd_scheduler(*, sigma_min: float = 0.002, sigma_max: float = 700.0) -> EulerScheduler:
    """Return SVD's scheduler, which predicts v at the continuous noise levels of Karras et al."""
    return EulerScheduler(
        prediction_type="v_prediction",
        timestep_type="continuous",
        use_karras_sigmas=True,
        sigma_min=sigma_min,
        sigma_max=sigma_max,
    )


def read_diffusers_config(path: Path, *config_types: type[D]) -> D:
    """Read a JSON file as the config of the class that it names; raises InputError for other classes or values."""
    by_name = {name: config_type for config_type in config_types for name in _names(config_type)}
    values = read_mapping(path)
    name = values.get("_class_name")
    if name not in by_name:
        raise InputError(f"{path}: describes {name or 'no class'}, it should describe {' or '.join(by_name)}")
    try:
        return by_name[name].model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place, reason = str(first["loc"][0]), first["msg"].removeprefix("Value error, ")
        raise InputError(f"{path}: {place} is {values.get(place, first['input'])!r}: {reason}") from None


def _names(config_type: type[DiffusersConfig]) -> tuple[str, ...]:
    return (config_type.class_name, *config_type.relatives)


def _kind(has_attention: bool) -> str:
    return "CrossAttn" if has_attention else ""
