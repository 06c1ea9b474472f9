"""Training by denoising latents; torch-free."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from videoldm.conditioners.config import DropoutConfig
from videoldm.core.config import Config, Share
from videoldm.diffusion.config import (
    SQUARED,
    Distance,
    IndependentNoise,
    NoiseLevels,
    TrainingNoise,
    VWeighting,
    Weighting,
)
from videoldm.models.unet.config import UNetConfig
from videoldm.tasks.config import FROM_PICTURE, TaskModelConfig, TaskName
from videoldm.training.data.config import CuratedData, Data, NoCaptions, PannedPictures, WorldData, check_held_out


class DenoisingStage(Config):
    """Denoising of latents: how much noise of what kind they are given, and what an error counts."""

    kind: str
    noise_levels: NoiseLevels
    noise: TrainingNoise = IndependentNoise()
    weighting: Weighting = VWeighting()
    distance: Distance = SQUARED


class ClipStage(DenoisingStage):
    """Denoising of clips under the conditions of one task."""

    dropout: DropoutConfig
    data: Data
    panned_pictures: PannedPictures | None = None
    """Clips among those of `data`; only for image-to-video, which needs no captions."""
    validation: Data
    num_validation_clips: PositiveInt = 4
    image_probability: Share = 0.0
    """How often a sample is a single frame with what is seen as caption, which the temporal layers leave alone; only
    for text-to-video."""

    def check_clips(self, task: TaskName) -> None:
        """Raise ValueError for clips that the task cannot be learned from."""
        check_held_out(self.data, self.validation)
        if self.panned_pictures and task != "image-to-video":
            raise ValueError(f"panned_pictures have no captions, which {task} needs: leave them out")
        if self.panned_pictures and not isinstance(self.data, WorldData):
            raise ValueError("panned_pictures are made like the clips of a world, data is curated: leave them out")
        if self.image_probability and task != "text-to-video":
            raise ValueError(
                f"image_probability is {self.image_probability}, only text-to-video learns from single frames: it "
                f"should be 0 for {task}"
            )
        for data in (self.data, self.validation):
            if isinstance(data, CuratedData) and isinstance(data.captions, NoCaptions) and task not in FROM_PICTURE:
                raise ValueError(f"captions are none, {task} needs them: they should be sampled")
        if isinstance(self.validation, WorldData) and self.num_validation_clips > self.validation.num_clips:
            raise ValueError(
                f"num_validation_clips is {self.num_validation_clips}, validation has {self.validation.num_clips} clips"
            )


class FromScratch(Config):
    """Random weights."""

    kind: Literal["scratch"] = "scratch"


class FromModel(Config):
    """The UNet of a whole model: what a run exported, in the package, a folder, a single file or a name on the hub.

    Whatever the stage's UNet has beyond it, temporal layers, input channels and signals, is added so that step 0
    equals it.
    """

    kind: Literal["model"] = "model"
    model: str


Start = Annotated[FromScratch | FromModel, Field(discriminator="kind")]


class AllParameters(Config):
    """The whole UNet is trained (SVD)."""

    kind: Literal["all"] = "all"


class TemporalParameters(Config):
    """The temporal layers and their merges are trained, the image model stays as it is (Video LDM, section 3.1)."""

    kind: Literal["temporal"] = "temporal"


class TimeEmbedding(Config):
    """Only the embedding of the noise level is trained, so that it learns what another c_noise means (SVD, D.2)."""

    kind: Literal["time-embedding"] = "time-embedding"


Trained = Annotated[AllParameters | TemporalParameters | TimeEmbedding, Field(discriminator="kind")]


def _check_size(data: Data, model: TaskModelConfig) -> None:
    """Raise ValueError for clips that the model cannot be trained on, or sampled beside."""
    shape = f"{model.height}x{model.width}"
    match data:
        case WorldData():
            if data.num_frames < model.num_frames:
                raise ValueError(
                    f"{data.split} clips have {data.num_frames} frames, the model makes {model.num_frames}"
                )
            if (data.height, data.width) != (model.height, model.width):
                raise ValueError(f"{data.split} clips are {data.height}x{data.width}, the model's {shape}")
        case CuratedData():
            if data.bucket_of(height=model.height, width=model.width, num_frames=model.num_frames) is None:
                raise ValueError(
                    f"{data.folder}: no bucket has the model's {shape} and {model.num_frames} frames, one should"
                )


class DiffusionStage(ClipStage):
    """Denoising of latents under the conditions of one task.

    Where the context is one token, as in image-to-video, what only decides which token to attend to is never trained,
    whatever `trained` says: it cannot learn.
    """

    kind: Literal["diffusion"] = "diffusion"  # pyright: ignore[reportIncompatibleVariableOverride]
    unet: UNetConfig
    start: Start
    trained: Trained = AllParameters()
    autoencoder: str
    """The export of a run, or a whole model whose autoencoder is taken."""
    encoders: str
    """The export of a run, or a whole model whose text or image encoder is taken."""
    model: TaskModelConfig

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        model = self.model
        self.check_clips(model.task)
        for data in (self.data, self.validation):
            _check_size(data, model)
        if isinstance(self.trained, TemporalParameters) and self.unet.temporal_layers is None:
            raise ValueError("trained is temporal, but unet has no temporal layers")
        if bool(self.unet.concat_channels) != (model.task == "image-to-video"):
            raise ValueError(
                f"unet.concat_channels is {self.unet.concat_channels}, image-to-video alone joins a picture's latent"
            )
        if self.unet.vector_dim not in (None, model.micro.vector_dim):  # an image model may take no signals
            raise ValueError(f"unet.vector_dim is {self.unet.vector_dim}, model.micro gives {model.micro.vector_dim}")
        return self
