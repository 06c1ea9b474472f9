"""DreamBooth of an image model, whose layers then move under a video model's temporal ones (Video LDM, section 4.2).

The paper gives the model, 256 pictures of the class, 800 iterations and the learning rate, and that the text encoder
learns too; the batch is DreamBooth's own: one picture of the subject and one of the class.
"""

from videoldm.diffusion.config import DiscreteUniform, EpsWeighting, LogNormal, NoiseLevels, VWeighting, Weighting
from videoldm.training.config import AdamW, ClassicAverage, OptimizerConfig, TrainingConfig
from videoldm.training.recipe import Recipe
from videoldm.training.stages.dreambooth.config import DreamBoothStage, PriorPreservation, PromptedPictures, TrainedText

STABLE_DIFFUSION_1 = "CompVis/stable-diffusion-v1-4"


def dreambooth() -> Recipe:
    """As in Video LDM: Stable Diffusion 1.4."""
    return _recipe(
        "dreambooth",
        "a subject for Stable Diffusion 1.4, from a few pictures",
        base=STABLE_DIFFUSION_1,
        subject="a sks dog",
        of_class="a dog",
        noise_levels=DiscreteUniform(),
        weighting=EpsWeighting(),
        learning_rate=1e-6,
    )


def mini_dreambooth() -> Recipe:
    """The mini image model learns a subject from pictures in runs/subject beside those in runs/class."""
    return _recipe(
        "mini-dreambooth",
        "a subject for the mini image model, from a few pictures",
        base="runs/mini-image/export",
        subject="a white torus on a plain ground",
        of_class="a torus on a plain ground",
        noise_levels=LogNormal(p_mean=-0.4, p_std=1.4),
        weighting=VWeighting(),
        learning_rate=1e-4,
    )


def _recipe(
    name: str,
    summary: str,
    *,
    base: str,
    subject: str,
    of_class: str,
    noise_levels: NoiseLevels,
    weighting: Weighting,
    learning_rate: float,
) -> Recipe:
    return Recipe(
        name=name,
        summary=summary,
        stage=DreamBoothStage(
            base=base,
            subject=PromptedPictures(folder="runs/subject", prompt=subject),
            prior=PriorPreservation(pictures=PromptedPictures(folder="runs/class", prompt=of_class)),
            text_encoder=TrainedText(),
            noise_levels=noise_levels,
            weighting=weighting,
        ),
        training=TrainingConfig(
            num_samples=2 * 800,
            batch_size=2,
            optimizer=OptimizerConfig(
                learning_rate=learning_rate, algorithm=AdamW(betas=(0.9, 0.999), weight_decay=0.01)
            ),
            average=ClassicAverage(decay=0.0),
            log_every_samples=80,
            validate_every_samples=800,
            checkpoint_every_samples=800,
        ),
    )
