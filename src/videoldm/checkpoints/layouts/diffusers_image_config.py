"""Configurations of diffusers' image models, converted to ours and back.

Fields with one possible value are features that our networks lack; another value is an error that names the field.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveFloat, PositiveInt, ValidationInfo, field_validator

from videoldm.checkpoints.layouts.diffusers_config import DiffusersConfig
from videoldm.core.errors import InputError
from videoldm.diffusion.config import LastLevel, PredictionType, Spacing
from videoldm.diffusion.schedules import BETA_END, BETA_START
from videoldm.models.autoencoder.config import AutoencoderConfig, PlainDecoder
from videoldm.models.unet.config import NoTemporalLayers, UNetConfig, UniformNormEps


def _is_linear(value: bool) -> bool:
    if not value:
        raise ValueError("should be true, as in Stable Diffusion 2; version 1 is another network")
    return value


One = Annotated[float, Field(ge=1, le=1)]
LatentSize = int | tuple[int, int]
"""Side of square latents, or their height and width."""
DownBlock = Literal["CrossAttnDownBlock2D", "DownBlock2D"]
WITH_ATTENTION: DownBlock = "CrossAttnDownBlock2D"
WITHOUT_ATTENTION: DownBlock = "DownBlock2D"


class DiffusersImageUNet(DiffusersConfig):
    """A `UNet2DConditionModel` as in Stable Diffusion 2 and its upscaler.

    attention_head_dim: number of heads, despite its name.
    """

    class_name: ClassVar[str] = "UNet2DConditionModel"
    sample_size: LatentSize | None = None
    in_channels: PositiveInt = 4
    out_channels: PositiveInt = 4
    block_out_channels: tuple[PositiveInt, ...] = (320, 640, 1280, 1280)
    down_block_types: tuple[DownBlock, ...] = (WITH_ATTENTION, WITH_ATTENTION, WITH_ATTENTION, WITHOUT_ATTENTION)
    up_block_types: tuple[str, ...] = ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3)
    layers_per_block: PositiveInt = 2
    transformer_layers_per_block: PositiveInt = 1
    attention_head_dim: PositiveInt | tuple[PositiveInt, ...] = 8
    cross_attention_dim: PositiveInt = 1280
    only_cross_attention: Literal[False] | tuple[bool, ...] = False
    num_class_embeds: PositiveInt | None = None
    norm_num_groups: PositiveInt = 32
    norm_eps: PositiveFloat = 1e-5
    use_linear_projection: Annotated[bool, AfterValidator(_is_linear)] = Field(default=False, validate_default=True)

    act_fn: Literal["silu"] = "silu"
    addition_embed_type: None = None
    attention_type: Literal["default"] = "default"
    center_input_sample: Literal[False] = False
    class_embed_type: None = None
    conv_in_kernel: Literal[3] = 3
    conv_out_kernel: Literal[3] = 3
    cross_attention_norm: None = None
    downsample_padding: Literal[1] = 1
    dual_cross_attention: Literal[False] = False
    encoder_hid_dim: None = None
    flip_sin_to_cos: Literal[True] = True
    freq_shift: Literal[0] = 0
    mid_block_only_cross_attention: Literal[False] | None = None
    mid_block_scale_factor: One = 1
    mid_block_type: Literal["UNetMidBlock2DCrossAttn"] = "UNetMidBlock2DCrossAttn"
    num_attention_heads: None = None
    resnet_out_scale_factor: One = 1
    resnet_skip_time_act: Literal[False] = False
    resnet_time_scale_shift: Literal["default"] = "default"
    time_cond_proj_dim: None = None
    time_embedding_act_fn: None = None
    time_embedding_dim: None = None
    time_embedding_type: Literal["positional"] = "positional"
    timestep_post_act: None = None

    @field_validator("up_block_types")
    @classmethod
    def _mirrors_the_way_down(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        expected = _mirrored(info.data.get("down_block_types", ()))
        if expected and value != expected:
            raise ValueError(f"should be {', '.join(expected)}, as on the way down")
        return value

    def to_native(self) -> UNetConfig:
        """Return our configuration of the same network; raises InputError for sizes that do not fit together."""
        if self.in_channels < self.out_channels:
            raise InputError(f"in_channels is {self.in_channels}, it should be at least {self.out_channels}")
        only_cross = self.only_cross_attention
        return UNetConfig(
            in_channels=self.out_channels,
            concat_channels=self.in_channels - self.out_channels,
            out_channels=self.out_channels,
            channels=self.block_out_channels,
            num_res_blocks=self.layers_per_block,
            attention_levels=tuple(name == WITH_ATTENTION for name in self.down_block_types),
            head_channels=self._head_channels(),
            self_attention_levels=tuple(not only for only in only_cross) if only_cross else True,
            transformer_depth=self.transformer_layers_per_block,
            context_dim=self.cross_attention_dim,
            num_noise_indices=self.num_class_embeds,
            norm_groups=self.norm_num_groups,
            norm_eps=UniformNormEps(value=self.norm_eps),
            temporal=NoTemporalLayers(),
        )

    @classmethod
    def from_native(cls, config: UNetConfig, *, sample_size: LatentSize | None = None) -> Self:
        """Return diffusers' configuration of one of our networks; raises InputError if it has no such network."""
        if config.temporal_layers is not None or config.vector_dim is not None or config.reads_frame_mask:
            raise InputError(f"a {cls.class_name} has neither temporal layers nor a vector condition nor a frame mask")
        if not isinstance(config.norm_eps, UniformNormEps):
            raise InputError(f"norm_eps is {config.norm_eps.kind}, a {cls.class_name} has it uniform")
        levels = range(len(config.channels))
        sizes = [config.head_channels_at(level) for level in levels]
        with_self = config.self_attention_levels
        with_self = with_self if isinstance(with_self, tuple) else (with_self,) * len(levels)
        down: tuple[DownBlock, ...] = tuple(
            WITH_ATTENTION if has else WITHOUT_ATTENTION for has in config.attention_levels
        )
        return cls(
            sample_size=sample_size,
            in_channels=config.in_channels + config.concat_channels,
            out_channels=config.out_channels,
            block_out_channels=config.channels,
            down_block_types=down,
            up_block_types=_mirrored(down),
            layers_per_block=config.num_res_blocks,
            transformer_layers_per_block=config.transformer_depth,
            attention_head_dim=tuple(width // size for width, size in zip(config.channels, sizes, strict=True)),
            cross_attention_dim=config.context_dim,
            only_cross_attention=False if all(with_self) else tuple(not has for has in with_self),
            num_class_embeds=config.num_noise_indices,
            norm_num_groups=config.norm_groups,
            norm_eps=config.norm_eps.value,
            use_linear_projection=True,
        )

    def _head_channels(self) -> int | tuple[int, ...]:
        heads, widths = self.attention_head_dim, self.block_out_channels
        counts = heads if isinstance(heads, tuple) else (heads,) * len(widths)
        if len(counts) != len(widths) or any(width % count for width, count in zip(widths, counts, strict=True)):
            raise InputError(f"attention_head_dim is {heads}, it should divide the widths {widths} of the levels")
        sizes = tuple(width // count for width, count in zip(widths, counts, strict=True))
        return sizes[0] if len(set(sizes)) == 1 else sizes


class DiffusersImageAutoencoder(DiffusersConfig):
    """An `AutoencoderKL`."""

    class_name: ClassVar[str] = "AutoencoderKL"
    in_channels: PositiveInt = 3
    out_channels: PositiveInt = 3
    block_out_channels: tuple[PositiveInt, ...] = (64,)
    down_block_types: tuple[Literal["DownEncoderBlock2D"], ...] = ("DownEncoderBlock2D",)
    up_block_types: tuple[Literal["UpDecoderBlock2D"], ...] = ("UpDecoderBlock2D",)
    layers_per_block: PositiveInt = 1
    latent_channels: PositiveInt = 4
    norm_num_groups: PositiveInt = 32
    sample_size: int | tuple[int, int] = 32
    scaling_factor: PositiveFloat = 0.18215
    use_quant_conv: bool = True
    use_post_quant_conv: bool = True

    act_fn: Literal["silu"] = "silu"
    latents_mean: None = None
    latents_std: None = None
    mid_block_add_attention: Literal[True] = True
    shift_factor: None = None

    @field_validator("out_channels")
    @classmethod
    def _gives_what_it_takes(cls, value: int, info: ValidationInfo) -> int:
        if value != info.data.get("in_channels", value):
            raise ValueError(f"should be {info.data['in_channels']}, as in_channels")
        return value

    def to_native(self) -> AutoencoderConfig:
        """Return our configuration of the same network."""
        return AutoencoderConfig(
            pixel_channels=self.in_channels,
            latent_channels=self.latent_channels,
            channels=self.block_out_channels,
            num_res_blocks=self.layers_per_block,
            norm_groups=self.norm_num_groups,
            project_moments=self.use_quant_conv,
            project_latents=self.use_post_quant_conv,
            scaling_factor=self.scaling_factor,
        )

    @classmethod
    def from_native(cls, config: AutoencoderConfig, *, sample_size: int) -> Self:
        """Return diffusers' configuration of one of our networks; `sample_size` is the side of its training pictures.

        Raises InputError if diffusers has no such network.
        """
        if config.patch_size != 1 or not isinstance(config.decoder, PlainDecoder):
            raise InputError(
                f"a {cls.class_name} has patch_size 1 and a plain decoder, this autoencoder has patch_size "
                f"{config.patch_size} and a {config.decoder.kind} decoder"
            )
        levels = len(config.channels)
        return cls(
            in_channels=config.pixel_channels,
            out_channels=config.pixel_channels,
            block_out_channels=config.channels,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            layers_per_block=config.num_res_blocks,
            latent_channels=config.latent_channels,
            norm_num_groups=config.norm_groups,
            sample_size=sample_size,
            scaling_factor=config.scaling_factor,
            use_quant_conv=config.project_moments,
            use_post_quant_conv=config.project_latents,
        )


class ImageScheduler(DiffusersConfig):
    """A scheduler over discrete noise levels, of which we read the levels and the parameterisation.

    kind: name of its class.
    steps_offset: 1 in the pipelines of Stable Diffusion, whatever the file states.
    """

    class_name: ClassVar[str] = "DDIMScheduler"
    relatives: ClassVar[tuple[str, ...]] = (
        "DDPMScheduler",
        "DPMSolverMultistepScheduler",
        "DPMSolverSinglestepScheduler",
        "EulerAncestralDiscreteScheduler",
        "EulerDiscreteScheduler",
        "HeunDiscreteScheduler",
        "LMSDiscreteScheduler",
        "PNDMScheduler",
        "UniPCMultistepScheduler",
    )
    kind: str = Field(default="DDIMScheduler", validation_alias="_class_name", exclude=True)
    prediction_type: PredictionType = "epsilon"
    num_train_timesteps: PositiveInt = 1000
    beta_start: PositiveFloat = 0.0001
    beta_end: PositiveFloat = 0.02
    beta_schedule: str = "linear"
    timestep_spacing: Spacing = "leading"
    steps_offset: NonNegativeInt = 1
    set_alpha_to_one: bool | None = None
    trained_betas: None = None
    rescale_betas_zero_snr: Literal[False] = False

    @property
    def last_level(self) -> LastLevel:
        """Level at which the last step ends: set by `set_alpha_to_one` in two of these classes, 0 in the others."""
        by_default = {"DDIMScheduler": True, "PNDMScheduler": False}
        if self.kind not in by_default:
            return "zero"
        reaches_zero = by_default[self.kind] if self.set_alpha_to_one is None else self.set_alpha_to_one
        return "zero" if reaches_zero else "lowest"

    def to_json(self) -> dict[str, Any]:
        """Return the content of a `scheduler_config.json`, without clipping, which is for models of pixels."""
        return super().to_json() | {"_class_name": self.kind, "clip_sample": False}


_SCALED_LINEAR = ImageScheduler(beta_schedule="scaled_linear", set_alpha_to_one=False)
SD_SCHEDULER = _SCALED_LINEAR.model_copy(
    update={"beta_start": BETA_START, "beta_end": BETA_END, "prediction_type": "v_prediction"}
)
"""Scheduler of Stable Diffusion 2.1."""
UPSCALER_SCHEDULER = _SCALED_LINEAR.model_copy(update={"prediction_type": "v_prediction"})
"""Scheduler of the x4 upscaler, whose betas are further apart."""
LOW_RESOLUTION_SCHEDULER = _SCALED_LINEAR.model_copy(update={"kind": "DDPMScheduler"})
"""Scheduler by which the low-resolution input of the x4 upscaler is noised."""


def _mirrored(down_block_types: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.replace("Down", "Up") for name in reversed(down_block_types))
