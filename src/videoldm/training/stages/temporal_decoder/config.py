"""Training of the temporal decoder; torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from videoldm.core.config import Config, Positive, Share
from videoldm.diffusion.config import Absolute
from videoldm.measures.config import FarnebackConfig
from videoldm.models.autoencoder.config import TemporalDecoder
from videoldm.models.discriminator.config import DiscriminatorConfig
from videoldm.training.config import OptimizerConfig, TrainingConfig, check_optimizer
from videoldm.training.data.config import CuratedData, Data, PannedPictures, WorldData, check_pictures, check_validation
from videoldm.training.stages.places import StageInput, judge_folder, model_input, picture_inputs
from videoldm.training.stages.stage import ParameterCount, Stage, count_parameters, register_stage

if TYPE_CHECKING:
    from videoldm.training.stages.temporal_decoder.objective import TemporalDecoderObjective


class LogSquared(Config):
    """Logarithm of a clip's mean squared error, PSNR but for the unit: easy clips count as much as hard ones."""

    kind: Literal["log-l2"] = "log-l2"


Reconstruction = Annotated[Absolute | LogSquared, Field(discriminator="kind")]


class NoPerceptualLoss(Config):
    """No comparison beside that of pixels."""

    kind: Literal["none"] = "none"


class FeatureLoss(Config):
    """Distance between the activations of a feature network, in place of LPIPS.

    The weights of LPIPS are trained on human votes and rest on a network for photographs; this network is the judge of
    generated clips, trained on the rendered world, and it sees motion too.
    """

    kind: Literal["features"] = "features"
    judge: str
    """Feature network: the export of a run, or one of our models that has a judge."""
    weight: Positive = 1.0


class NoConsistencyLoss(Config):
    """No comparison of successive frames, as in latent diffusion."""

    kind: Literal["none"] = "none"


class WarpedDifference(Config):
    """Difference between each frame and its successor warped back along the motion of the true clip.

    The motion is estimated from the true frames by optical flow and used where forward and backward flow agree. This is
    ours: the papers leave consistency to the discriminator.
    """

    kind: Literal["warped-difference"] = "warped-difference"
    weight: Positive = 1.0
    flow: FarnebackConfig = FarnebackConfig(num_iterations=5)
    """Flow with fewer iterations than for measuring, so that a step does not wait for it."""


class NoLatentNoise(Config):
    """Latents as the encoder gives them."""

    kind: Literal["none"] = "none"


class LatentNoise(Config):
    """Noise on the model latents of a share of the clips, as sampled latents differ from encoded ones.

    Its standard deviation is uniform up to `deviation`. The decoder can tell from a clip how much there is, and the
    clean share keeps it sharp where there is none. This is ours.
    """

    kind: Literal["normal"] = "normal"
    share: Share = 0.5
    deviation: Positive


class FixedWeight(Config):
    """Constant factor on the adversarial loss."""

    kind: Literal["fixed"] = "fixed"
    value: Positive = 0.1


class AdaptiveWeight(Config):
    """Factor that makes the adversarial loss pull `share` times as hard as the others, by the gradients at the pixels.

    Latent diffusion measures them at the last layer's weights, over the whole batch; at the pixels each clip has its
    own, which does not depend on how a batch is cut into micro-batches and ranks.
    """

    kind: Literal["adaptive"] = "adaptive"
    share: Positive = 0.5
    most: Positive = 1e4
    """Largest factor, reached where the discriminator hardly pulls."""


class NoAdversary(Config):
    """No discriminator."""

    kind: Literal["none"] = "none"


class VideoAdversary(Config):
    """Discriminator of clips with hinge loss; both sides of the game begin at `starts_at_samples`."""

    kind: Literal["video"] = "video"
    model: DiscriminatorConfig = DiscriminatorConfig()
    weight: Annotated[FixedWeight | AdaptiveWeight, Field(discriminator="kind")] = AdaptiveWeight()
    starts_at_samples: NonNegativeInt = 0
    optimizer: OptimizerConfig


@register_stage
class TemporalDecoderStage(Stage):
    """Temporal layers in the decoder of a per-frame autoencoder, trained on clips (Video LDM, section 3.1.1).

    The encoder never changes.
    """

    kind: Literal["temporal-decoder"] = "temporal-decoder"  # pyright: ignore[reportIncompatibleVariableOverride]
    autoencoder: str
    """Per-frame autoencoder: the export of a run, or a model by any name that `videoldm generate` knows."""
    decoder: TemporalDecoder = TemporalDecoder()
    projection: Literal["kept", "folded"] = "kept"
    """The 1 x 1 convolution before the decoder: SVD's layout has no place for it, so it can be folded in."""
    trained: Literal["temporal", "decoder"] = "temporal"
    """Part that is trained: the temporal layers alone, or the whole decoder."""
    data: Data
    panned_pictures: PannedPictures | None = None
    """Clips among those of `data`, which has to be a world."""
    validation: Data
    num_frames: PositiveInt = 14
    """Length of the windows that are cut out of rendered clips, and of all buckets of curated ones."""
    latent_noise: Annotated[NoLatentNoise | LatentNoise, Field(discriminator="kind")] = NoLatentNoise()
    reconstruction: Reconstruction = Absolute()
    perceptual: Annotated[NoPerceptualLoss | FeatureLoss, Field(discriminator="kind")]
    consistency: Annotated[NoConsistencyLoss | WarpedDifference, Field(discriminator="kind")] = NoConsistencyLoss()
    adversary: Annotated[NoAdversary | VideoAdversary, Field(discriminator="kind")]
    num_validation_clips: PositiveInt = 16

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        for name, choice in (("perceptual", self.perceptual), ("consistency", self.consistency)):
            if self.num_frames < 2 and choice.kind != "none":
                raise ValueError(f"num_frames is 1, {name} {choice.kind} compares frames: take {name} none")
        check_validation(self.data, self.validation, self.num_validation_clips)
        check_pictures(self.panned_pictures, self.data)
        for data in (self.data, self.validation):
            self._check_clips(data)
        return self

    def _check_clips(self, data: Data) -> None:
        """Raise ValueError for clips that are too short or too small."""
        match data:
            case WorldData(split=split, num_frames=num_frames):
                if num_frames < self.num_frames:
                    raise ValueError(
                        f"{split} clips have {num_frames} frames, num_frames is {self.num_frames}: at most that"
                    )
                self._check_sides(data.height, data.width)
            case CuratedData(folder=folder):
                if data.latents.kind != "anew":
                    raise ValueError(f"{folder}: latents.kind is {data.latents.kind}, a decoder sees pixels: take anew")
                for bucket in data.buckets:
                    if bucket.num_frames != self.num_frames:
                        raise ValueError(f"{folder}: the bucket {bucket.name} should have {self.num_frames} frames")
                    self._check_sides(bucket.height, bucket.width)

    def _check_sides(self, height: int, width: int) -> None:
        if isinstance(self.adversary, VideoAdversary):
            smallest = self.adversary.model.smallest_side_px
            if min(height, width) < smallest:
                raise ValueError(f"clips are {height}x{width}, adversary.model needs at least {smallest} a side")

    def check_training(self, training: TrainingConfig) -> None:
        """Raise ValueError if a discriminator is sharded that needs whole matrices."""
        super().check_training(training)
        if isinstance(self.adversary, VideoAdversary):
            check_optimizer(self.adversary.optimizer, training.execution)

    def objective(self, *, seed: int, cache: Path, device: str = "cpu") -> TemporalDecoderObjective:
        """Load the autoencoder, insert temporal layers and open the clips."""
        from videoldm.training.stages.temporal_decoder.objective import TemporalDecoderObjective

        return TemporalDecoderObjective(self, seed=seed, cache=cache, device=device)

    def parameter_counts(self) -> Mapping[str, ParameterCount]:
        """Count the parameters of autoencoder and discriminator."""
        from videoldm.training.stages.temporal_decoder.objective import stage_parameters

        return count_parameters(stage_parameters(self))

    def folders(self) -> Sequence[StageInput]:
        """Return the autoencoder, the feature network of the perceptual loss and the folder of pictures."""
        folders = model_input("stage.autoencoder", self.autoencoder)
        if isinstance(self.perceptual, FeatureLoss):
            folders.append(StageInput("stage.perceptual.judge", judge_folder(self.perceptual.judge)))
        return [*folders, *picture_inputs(self.panned_pictures)]

    @property
    def exported_parts(self) -> Mapping[str, str]:
        """The whole autoencoder."""
        return {"autoencoder": "."}
