"""Settings of diffusion; torch-free, so that recipes and the command line can print and validate them.

Each choice is a union of small configs, distinguished by `kind`; the module named after the choice (`schedules`,
`guidance`, `loss`, ...) implements it in one function.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from videoldm.core.config import Config, Finite, NonNegative, Positive, Share

# Preconditioning: from a network to a denoiser.


class VPrediction(Config):
    """The network predicts v from 0.25 ln sigma (SVD, D.1): EDM with sigma_data 1 except for the sign of c_out."""

    kind: Literal["v"] = "v"


class EDM(Config):
    """Input, output and target have unit variance for data of deviation `sigma_data` (Karras et al. 2022, table 1)."""

    kind: Literal["edm"] = "edm"
    sigma_data: Positive = 0.5


class DiscreteEps(Config):
    """The network predicts the noise from the index of the nearest discrete level (SD 1.x, SD 2.1-base)."""

    kind: Literal["discrete_eps"] = "discrete_eps"


class DiscreteV(Config):
    """The network predicts v from the index of the nearest discrete level (SD 2.1)."""

    kind: Literal["discrete_v"] = "discrete_v"


PredictionType = Literal["epsilon", "v_prediction"]
"""What a network of discrete noise levels predicts, by its name in diffusers: the noise, or v."""
Preconditioning = Annotated[VPrediction | EDM | DiscreteEps | DiscreteV, Field(discriminator="kind")]


# Noise levels: the distribution p(sigma) of training.


class LogNormal(Config):
    """ln sigma ~ N(p_mean, p_std^2)."""

    kind: Literal["log_normal"] = "log_normal"
    p_mean: Finite
    p_std: Positive


class DiscreteUniform(Config):
    """All of Stable Diffusion's thousand levels are equally likely."""

    kind: Literal["discrete_uniform"] = "discrete_uniform"


NoiseLevels = Annotated[LogNormal | DiscreteUniform, Field(discriminator="kind")]

SVD_NOISE_LEVELS: Mapping[str, LogNormal] = MappingProxyType(
    {
        "image": LogNormal(p_mean=-1.2, p_std=1.0),
        "video_256x384": LogNormal(p_mean=-1.2, p_std=1.0),
        "video_320x576": LogNormal(p_mean=0.0, p_std=1.0),
        "text_to_video_576x1024": LogNormal(p_mean=0.5, p_std=1.4),
        "image_to_video_320x576": LogNormal(p_mean=0.7, p_std=1.6),
        "image_to_video_576x1024": LogNormal(p_mean=1.0, p_std=1.6),
        "interpolation_576x1024": LogNormal(p_mean=1.0, p_std=1.2),
    }
)
"""Noise levels of each training stage of SVD (SVD, D.1 to D.5): the larger the picture, the more noise."""

CONDITION_AUGMENTATION = LogNormal(p_mean=-3.0, p_std=0.5)
"""Noise on the pixels of the conditioning frame (SVD, D.4)."""


# Noise of training.


class IndependentNoise(Config):
    """Independent noise for every element."""

    kind: Literal["independent"] = "independent"


class OffsetNoise(Config):
    """Independent noise plus noise of deviation `strength` that all positions and frames of a channel share.

    Without it, a model whose highest noise level still shows the mean of a picture never learns to change that mean.
    """

    kind: Literal["offset"] = "offset"
    strength: Positive = 0.1


TrainingNoise = Annotated[IndependentNoise | OffsetNoise, Field(discriminator="kind")]


# Loss: its weight lambda(sigma), and the distance between latents.


class VWeighting(Config):
    """(sigma^2 + 1) / sigma^2: a plain mean square on v (SVD, D.1)."""

    kind: Literal["v"] = "v"


class EDMWeighting(Config):
    """(sigma^2 + sigma_data^2) / (sigma sigma_data)^2: a plain mean square on EDM's network output."""

    kind: Literal["edm"] = "edm"
    sigma_data: Positive = 0.5


class EpsWeighting(Config):
    """1 / sigma^2: a plain mean square on the noise."""

    kind: Literal["eps"] = "eps"


class UnitWeighting(Config):
    """1: a plain mean square on x0."""

    kind: Literal["unit"] = "unit"


Weighting = Annotated[VWeighting | EDMWeighting | EpsWeighting | UnitWeighting, Field(discriminator="kind")]


class Squared(Config):
    """Squared difference."""

    kind: Literal["l2"] = "l2"


class Absolute(Config):
    """Absolute difference."""

    kind: Literal["l1"] = "l1"


Distance = Annotated[Squared | Absolute, Field(discriminator="kind")]

SQUARED = Squared()


# Schedules: the decreasing noise levels of a sampler.


class _SigmaRange(Config):
    sigma_min: Positive = 0.002
    sigma_max: Positive = 700.0

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.sigma_min >= self.sigma_max:
            raise ValueError(f"sigma_min {self.sigma_min} should be below sigma_max {self.sigma_max}")
        return self


class Karras(_SigmaRange):
    """Equal steps in sigma^(1 / rho) (Karras et al. 2022, eq. 5); the defaults are SVD's."""

    kind: Literal["karras"] = "karras"
    rho: Positive = 7.0


class KarrasToZero(_SigmaRange):
    """Equal steps in sigma^(1 / rho) down to `sigma_min`, which is replaced by 0, so that no step is spent on it.

    Every k-th level of k N steps is one of N steps. Made for few steps, as those of distilled models.
    """

    kind: Literal["karras_to_zero"] = "karras_to_zero"
    rho: Positive = 7.0


class Exponential(_SigmaRange):
    """Equal steps in ln sigma."""

    kind: Literal["exponential"] = "exponential"


Spacing = Literal["leading", "trailing", "linspace"]
LastLevel = Literal["zero", "lowest"]


class SDDiscrete(Config):
    """A selection of Stable Diffusion's thousand levels.

    spacing: "leading" takes every (1000 // steps)-th level from level 1 on, so it never sees the noisiest ones (at 30
    steps it starts at level 958); "trailing" every (1000 / steps)-th from the noisiest level down; "linspace" spreads
    the steps over all levels, both ends included.
    last_level: "lowest" stops at sigma 0.029, the lowest of the thousand, as Stable Diffusion's own DDIM does.
    """

    kind: Literal["sd_discrete"] = "sd_discrete"
    spacing: Spacing = "leading"
    last_level: LastLevel = "zero"


class AlignYourSteps(Config):
    """Levels optimised for SVD at 10 steps (Sabour et al. 2024), interpolated in ln sigma for other numbers."""

    kind: Literal["ays"] = "ays"


Schedule = Annotated[Karras | KarrasToZero | Exponential | SDDiscrete | AlignYourSteps, Field(discriminator="kind")]
ScheduleName = Literal["karras", "karras_to_zero", "exponential", "sd_discrete", "ays"]


def _range_of(schedule: Schedule) -> dict[str, float]:
    if isinstance(schedule, _SigmaRange):
        return {"sigma_min": schedule.sigma_min, "sigma_max": schedule.sigma_max}
    return {}


def schedule_named(name: ScheduleName, *, like: Schedule) -> Schedule:
    """Return the schedule of that name, over the noise levels of `like` if both have a range."""
    if like.kind == name:
        return like
    match name:
        case "karras":
            return Karras.model_validate(_range_of(like))
        case "karras_to_zero":
            return KarrasToZero.model_validate(_range_of(like))
        case "exponential":
            return Exponential.model_validate(_range_of(like))
        case "sd_discrete":
            return SDDiscrete(spacing="trailing")
        case "ays":
            return AlignYourSteps()


def few_step_schedule(schedule: Schedule) -> Schedule:
    """Return the schedule for few steps over the noise levels of another one, whose lowest costs no step."""
    if isinstance(schedule, SDDiscrete):
        return SDDiscrete(spacing="trailing")
    return KarrasToZero.model_validate(_range_of(schedule))


# Samplers.


class Churn(Config):
    """Noise added before each step at levels from `s_tmin` to `s_tmax` (Karras et al. 2022, algorithm 2).

    The defaults of `s_tmin`, `s_tmax` and `s_noise` are that paper's for ImageNet.
    """

    s_churn: Positive
    s_tmin: NonNegative = 0.05
    s_tmax: Positive = 50.0
    s_noise: Positive = 1.003


class Euler(Config):
    """Euler's method: first order, one network call in each step; SVD's sampler."""

    kind: Literal["euler"] = "euler"
    churn: Churn | None = None


class Heun(Config):
    """Heun's method: second order, two network calls in each step."""

    kind: Literal["heun"] = "heun"
    churn: Churn | None = None


class DPMPP2M(Config):
    """DPM-Solver++(2M): second order, one network call in each step."""

    kind: Literal["dpmpp_2m"] = "dpmpp_2m"


class DPMPPSDE(Config):
    """SDE-DPM-Solver++ of second order: fresh noise and two network calls in each step."""

    kind: Literal["dpmpp_sde"] = "dpmpp_sde"


class DDIM(Config):
    """Deterministic DDIM (eta 0)."""

    kind: Literal["ddim"] = "ddim"


class EulerAncestral(Config):
    """Euler steps with fresh noise after each; `eta` from 0 (none) to 1 (as much as in the reverse process)."""

    kind: Literal["euler_ancestral"] = "euler_ancestral"
    eta: Share = 1.0


Sampler = Annotated[Euler | Heun | DPMPP2M | DPMPPSDE | DDIM | EulerAncestral, Field(discriminator="kind")]
SamplerName = Literal["euler", "heun", "dpmpp_2m", "dpmpp_sde", "ddim", "euler_ancestral"]
SAMPLERS: Mapping[SamplerName, type[Config]] = MappingProxyType(
    {
        "euler": Euler,
        "heun": Heun,
        "dpmpp_2m": DPMPP2M,
        "dpmpp_sde": DPMPPSDE,
        "ddim": DDIM,
        "euler_ancestral": EulerAncestral,
    }
)


# Guidance: extrapolation from the unconditional towards the conditional prediction.


class Constant(Config):
    """The same scale for all frames."""

    kind: Literal["constant"] = "constant"
    scale: Finite


class _ScaleRange(Config):
    min_scale: Finite = 1.0
    max_scale: Finite


class LinearOverFrames(_ScaleRange):
    """Linear from `min_scale` at the first frame to `max_scale` at the last (SVD, D.4)."""

    kind: Literal["linear"] = "linear"


class Triangle(_ScaleRange):
    """Linear from `min_scale` up to `max_scale` in the middle of the clip and back (SV3D)."""

    kind: Literal["triangle"] = "triangle"


class Trapezoid(_ScaleRange):
    """Rise over the first `edge` of the clip, `max_scale` in between, fall over the last `edge`."""

    kind: Literal["trapezoid"] = "trapezoid"
    edge: Annotated[float, Field(ge=0, le=0.5)] = 0.1


FrameScale = Annotated[Constant | LinearOverFrames | Triangle | Trapezoid, Field(discriminator="kind")]


class Interval(Config):
    """Guidance at levels lo < sigma <= hi only (Kynkaanniemi et al. 2024)."""

    lo: NonNegative
    hi: Positive

    @model_validator(mode="after")
    def _is_an_interval(self) -> Self:
        if self.lo >= self.hi:
            raise ValueError(f"lo {self.lo} should be below hi {self.hi}")
        return self


class Guidance(Config):
    """A scale for each frame, everywhere or inside an interval of noise levels."""

    scale: FrameScale
    interval: Interval | None = None
