"""Recipes of temporal decoders: SVD's, and the mini model's; torch-free.

Published is that the encoder stays, that temporal layers are added to the decoder, and that a patch-wise discriminator
of 3-D convolutions judges clips alone (Video LDM, section 3.1.1); the SVD paper says nothing of its decoder. Loss
weights, learning rates, lengths of training and the discriminator's sizes are chosen here, after latent diffusion's
autoencoders where they have a like: absolute error, a perceptual loss of weight 1, hinge loss that pulls half as hard
as the rest, a discriminator that starts late, Adam with betas 0.5 and 0.9.
"""

from videoldm.dataset.config import Bucket
from videoldm.diffusion.config import Absolute
from videoldm.models.discriminator.config import DiscriminatorConfig
from videoldm.recipes.scale import RATES, STABLE_DIFFUSION, TRAIN, VALIDATION
from videoldm.synthetic.config import WorldOptions
from videoldm.training.config import AdamW, ClassicAverage, CosineRate, OptimizerConfig, TrainingConfig
from videoldm.training.data.config import CuratedData, EncodedAnew, NoCaptions, WorldData
from videoldm.training.recipe import Recipe
from videoldm.training.stages.temporal_decoder.config import (
    AdaptiveWeight,
    FeatureLoss,
    LatentNoise,
    LogSquared,
    TemporalDecoderStage,
    VideoAdversary,
    WarpedDifference,
)

NUM_FRAMES, BATCH = 14, 16
"""Clip length and batch of the published decoder's training: our choice, with the length of the first model."""


def temporal_decoder() -> Recipe:
    """SVD's decoder from that of Stable Diffusion 2.1, on clips of 14 frames."""
    optimizer = OptimizerConfig(learning_rate=1e-4, warmup_samples=8_000, algorithm=AdamW(betas=(0.5, 0.9)))
    clips = CuratedData(
        folder=TRAIN,
        buckets=tuple(Bucket(height=256, width=256, num_frames=NUM_FRAMES, fps=fps, batch_size=BATCH) for fps in RATES),
        captions=NoCaptions(),
        latents=EncodedAnew(),
    )
    return Recipe(
        name="temporal-decoder",
        summary="SVD's decoder: temporal layers in Stable Diffusion's, trained against a discriminator of clips",
        stage=TemporalDecoderStage(
            autoencoder=STABLE_DIFFUSION,
            projection="folded",
            data=clips,
            validation=clips.model_copy(update={"folder": VALIDATION}),
            num_frames=NUM_FRAMES,
            reconstruction=Absolute(),
            perceptual=FeatureLoss(judge="mini", weight=1.0),
            adversary=VideoAdversary(
                model=DiscriminatorConfig(),
                weight=AdaptiveWeight(share=0.5),
                starts_at_samples=80_000,
                optimizer=optimizer,
            ),
        ),
        training=TrainingConfig(
            num_samples=800_000,
            batch_size=BATCH,
            optimizer=optimizer,
            precision="bfloat16",
        ),
    )


def mini_temporal_decoder() -> Recipe:
    """The mini model's decoder with temporal layers, all of it trained."""
    return Recipe(
        name="mini-temporal-decoder",
        summary="the mini autoencoder's decoder with temporal layers, which removes flicker",
        stage=TemporalDecoderStage(
            autoencoder="mini",
            trained="decoder",
            data=WorldData(split="train", num_clips=256, options=WorldOptions(static_camera=0.25)),
            validation=WorldData(split="validation", num_clips=64),
            num_frames=8,
            latent_noise=LatentNoise(deviation=0.2),
            reconstruction=LogSquared(),
            perceptual=FeatureLoss(judge="mini", weight=0.1),
            consistency=WarpedDifference(weight=60.0),
            adversary=VideoAdversary(
                model=DiscriminatorConfig(channels=(32, 64, 96), norm_groups=8),
                weight=AdaptiveWeight(share=0.05),
                starts_at_samples=6_000,
                optimizer=OptimizerConfig(learning_rate=2e-4, algorithm=AdamW(betas=(0.5, 0.9))),
            ),
        ),
        training=TrainingConfig(
            num_samples=6_400,
            batch_size=2,
            optimizer=OptimizerConfig(learning_rate=6e-4, warmup_samples=100, decay=CosineRate(final_fraction=0.02)),
            average=ClassicAverage(decay=0.99),
            precision="bfloat16",
            log_every_samples=50,
            validate_every_samples=1_600,
            checkpoint_every_samples=1_600,
        ),
    )
