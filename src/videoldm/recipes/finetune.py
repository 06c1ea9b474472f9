"""Finished models finetuned on one's own material: image to video on clips, and an image model on a subject.

Clips lie in the folder `clips`, exported by `videoldm curate`. The noise levels are those at which each model learned
to start from a picture; batch, learning rate and length are our choice, small enough for one machine.

DreamBooth teaches a subject to an image model, whose layers then move under a video model's temporal ones (Video LDM,
section 4.2). The paper gives the model, 256 pictures of the class, 800 iterations and the learning rate, and that the
text encoder learns too; the batch is DreamBooth's own: one picture of the subject and one of the class.
"""

from fractions import Fraction

from videoldm.dataset.config import Bucket
from videoldm.diffusion.config import DiscreteUniform, EpsWeighting, LogNormal, VWeighting
from videoldm.recipes.mini import mini_image_to_video
from videoldm.recipes.scale import PAPER, SVD, Scale
from videoldm.recipes.svd import svd_image_to_video_576x1024
from videoldm.training.config import AdamW, ClassicAverage, ExecutionConfig, OptimizerConfig, TrainingConfig
from videoldm.training.data.config import CachedLatents, CuratedData, Data, HeldOutVideos, NoCaptions, OtherVideos
from videoldm.training.recipe import Recipe
from videoldm.training.stages.diffusion.config import DiffusionStage, FromModel
from videoldm.training.stages.dreambooth.config import (
    DreamBoothStage,
    PriorPreservation,
    PromptedPictures,
    TrainedText,
)

FOLDER = "clips"
FPS = Fraction(7)
STABLE_DIFFUSION_1 = "CompVis/stable-diffusion-v1-4"


def finetune(scale: Scale) -> Recipe:
    """Stable Video Diffusion, or the model of the package, on clips of one's own."""
    like = scale.pick(paper=svd_image_to_video_576x1024(PAPER), mini=mini_image_to_video())
    training = scale.pick(paper=_published_training(), mini=_mini_training())
    assert isinstance(like.stage, DiffusionStage)
    made = like.stage.model
    size = {"height": made.height, "width": made.width, "num_frames": made.num_frames}
    clips = CuratedData(
        folder=FOLDER,
        videos=OtherVideos(),
        buckets=(Bucket(**size, fps=FPS, batch_size=training.batch_size),),
        captions=NoCaptions(),
        latents=CachedLatents(windows_per_clip=4),
    )
    what = scale.pick(paper="Stable Video Diffusion", mini="the model of the package")
    return Recipe(
        name=f"{scale.prefix}finetune",
        summary=f"{what} on your own clips, {size['num_frames']} x {size['height']}x{size['width']}",
        stage=once_more(
            like,
            start=scale.pick(paper=SVD, mini="mini"),
            data=clips,
            validation=clips.model_copy(update={"videos": HeldOutVideos()}),
        ),
        training=training,
    )


def once_more(like: Recipe, *, start: str, data: Data, validation: Data, **changes: object) -> DiffusionStage:
    """Return the stage that made a model, from the finished model itself and on other clips."""
    stage = like.stage
    assert isinstance(stage, DiffusionStage)
    parts = {"start": FromModel(model=start), "autoencoder": start, "encoders": start}
    clips = {"data": data, "panned_pictures": None, "validation": validation}
    return DiffusionStage.model_validate(stage.model_copy(update=parts | clips | changes).model_dump())


def dreambooth(scale: Scale) -> Recipe:
    """A subject for Stable Diffusion 1.4, as in Video LDM, or for the mini image model.

    The pictures lie in runs/subject, those of its class in runs/class.
    """
    which = scale.pick(paper="Stable Diffusion 1.4", mini="the mini image model")
    subject = scale.pick(paper="a sks dog", mini="a white torus on a plain ground")
    of_class = scale.pick(paper="a dog", mini="a torus on a plain ground")
    return Recipe(
        name=f"{scale.prefix}dreambooth",
        summary=f"a subject for {which}, from a few pictures",
        stage=DreamBoothStage(
            base=scale.pick(paper=STABLE_DIFFUSION_1, mini="runs/mini-image/export"),
            subject=PromptedPictures(folder="runs/subject", prompt=subject),
            prior=PriorPreservation(pictures=PromptedPictures(folder="runs/class", prompt=of_class)),
            text_encoder=TrainedText(),
            noise_levels=scale.pick(paper=DiscreteUniform(), mini=LogNormal(p_mean=-0.4, p_std=1.4)),
            weighting=scale.pick(paper=EpsWeighting(), mini=VWeighting()),
        ),
        training=TrainingConfig(
            num_samples=2 * 800,
            batch_size=2,
            optimizer=_optimizer(learning_rate=scale.pick(paper=1e-6, mini=1e-4)),
            average=ClassicAverage(decay=0.0),
            log_every_samples=80,
            validate_every_samples=800,
            checkpoint_every_samples=800,
        ),
    )


def _published_training() -> TrainingConfig:
    return TrainingConfig(
        num_samples=8 * 5_000,
        batch_size=8,
        accumulation_steps=8,
        optimizer=_optimizer(learning_rate=1e-5, warmup_samples=8 * 500),
        average=ClassicAverage(decay=0.999),
        precision="bfloat16",
        log_every_samples=80,
        validate_every_samples=4_000,
        checkpoint_every_samples=4_000,
        execution=ExecutionConfig(recompute="blocks"),
    )


def _mini_training() -> TrainingConfig:
    return TrainingConfig(
        num_samples=2_048,
        batch_size=8,
        optimizer=_optimizer(learning_rate=2e-4, warmup_samples=128),
        average=ClassicAverage(decay=0.99),
        precision="bfloat16",
        log_every_samples=64,
        validate_every_samples=512,
        checkpoint_every_samples=512,
    )


def _optimizer(*, learning_rate: float, warmup_samples: int = 0) -> OptimizerConfig:
    algorithm = AdamW(betas=(0.9, 0.999), weight_decay=0.01)
    return OptimizerConfig(learning_rate=learning_rate, warmup_samples=warmup_samples, algorithm=algorithm)
