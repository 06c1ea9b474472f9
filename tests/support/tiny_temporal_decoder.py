"""A temporal decoder's training that is over in seconds: its folders, its stage and its run."""

from pathlib import Path

from tiny_networks import randomise

from videoldm.checkpoints.layouts.native import save_component
from videoldm.core.random import seeded_initialisation
from videoldm.measures.config import FeatureNetworkConfig
from videoldm.measures.feature_network import FeatureNetwork, save_feature_network
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.discriminator.config import DiscriminatorConfig
from videoldm.training.config import OptimizerConfig, TrainingConfig
from videoldm.training.data.config import WorldData
from videoldm.training.stages.temporal_decoder.config import (
    FeatureLoss,
    LatentNoise,
    LogSquared,
    TemporalDecoderStage,
    VideoAdversary,
    WarpedDifference,
)

AUTOENCODER = AutoencoderConfig(latent_channels=3, patch_size=2, channels=(8, 8), num_res_blocks=1, norm_groups=4)
JUDGE = FeatureNetworkConfig(heads={"shape": ("cone", "cube")}, frame_px=16, widths=(8,), embedding_width=4)
START_SAMPLES = 4


def tiny_stage(folder: Path, **changes: object) -> TemporalDecoderStage:
    """Write a per-frame autoencoder and a judge into `folder`, and describe a training on 16 x 16 pixels."""
    autoencoder, judge = folder / "autoencoder", folder / "judge"
    if not autoencoder.exists():
        save_component(autoencoder, randomise(Autoencoder(AUTOENCODER)), AUTOENCODER)
        with seeded_initialisation(0, "judge"):
            save_feature_network(judge, FeatureNetwork(JUDGE))
    data = WorldData(split="train", num_clips=64, num_frames=3, height=16, width=16)
    stage = TemporalDecoderStage(
        autoencoder=str(autoencoder),
        data=data,
        validation=data.model_copy(update={"split": "validation"}),
        num_frames=2,
        latent_noise=LatentNoise(deviation=0.1),
        reconstruction=LogSquared(),
        perceptual=FeatureLoss(judge=str(judge)),
        consistency=WarpedDifference(),
        adversary=VideoAdversary(
            model=DiscriminatorConfig(channels=(4, 8), norm_groups=4),
            starts_at_samples=START_SAMPLES,
            optimizer=OptimizerConfig(learning_rate=1e-3),
        ),
        num_validation_clips=2,
    )
    return TemporalDecoderStage.model_validate(stage.model_dump() | changes)


def tiny_training(**changes: object) -> TrainingConfig:
    """Six steps of two clips."""
    config = TrainingConfig(
        num_samples=12,
        batch_size=2,
        optimizer=OptimizerConfig(learning_rate=1e-2),
        log_every_samples=2,
        validate_every_samples=12,
        checkpoint_every_samples=2,
    )
    return config.model_copy(update=changes)
