"""The stages' configurations; torch-free, so that recipes print and validate without it."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from videoldm.conditioners.config import DropoutConfig
from videoldm.core.config import Config
from videoldm.core.numbers import NonNegative, Share
from videoldm.diffusion.config import (
    SQUARED,
    Distance,
    IndependentNoise,
    NoiseLevels,
    TrainingNoise,
    VWeighting,
    Weighting,
)
from videoldm.measures.features.config import FeatureNetworkConfig
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.models.clip.config import ImageEncoderConfig, TextEncoderConfig
from videoldm.models.unet.config import UNetConfig
from videoldm.synthetic.vocabulary import LABELS
from videoldm.tasks.config import FROM_PICTURE, TaskModelConfig
from videoldm.training.data.config import CuratedData, NoCaptions
from videoldm.training.stages.data_config import Data, PannedPictures, WorldData
from videoldm.training.stages.dreambooth_config import DreamBoothStage
from videoldm.training.stages.lora_config import LoraStage
from videoldm.training.stages.temporal_decoder_config import TemporalDecoderStage


class AutoencoderStage(Config):
    """Reconstruction and a light pull of the posterior to a standard normal.

    The loss of a frame is the logarithm of its squared error, PSNR but for the unit, so that easy frames count as much
    as hard ones; `kl_weight` is to be seen against that.
    """

    kind: Literal["autoencoder"] = "autoencoder"
    model: AutoencoderConfig
    data: WorldData
    validation: WorldData
    pictures: str = ""
    picture_fraction: Share = 0.0
    kl_weight: NonNegative = 1e-3

    @model_validator(mode="after")
    def _pictures_are_named(self) -> Self:
        if self.picture_fraction and not self.pictures:
            raise ValueError(f"picture_fraction is {self.picture_fraction}, but pictures names no folder")
        return self


class EncodersStage(Config):
    """A text and an image encoder that agree on which caption belongs to which frame (CLIP)."""

    kind: Literal["encoders"] = "encoders"
    text: TextEncoderConfig
    image: ImageEncoderConfig
    data: WorldData
    validation: WorldData


class JudgeStage(Config):
    """The feature network that tells shape, colour, motion and camera of a clip."""

    kind: Literal["judge"] = "judge"
    model: FeatureNetworkConfig
    data: WorldData
    validation: WorldData
    label_smoothing: Share = 0.02

    @model_validator(mode="after")
    def _heads_are_labels_of_the_world(self) -> Self:
        for head, names in self.model.heads.items():
            if names != LABELS.get(head):
                known = "; ".join(f"{label}: {', '.join(classes)}" for label, classes in LABELS.items())
                raise ValueError(f"model.heads has {head}: {', '.join(names)}, the labels of the world are {known}")
        return self


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


class DiffusionStage(Config):
    """Denoising of latents under the conditions of one task.

    Where the context is one token, as in image-to-video, what only decides which token to attend to is never trained,
    whatever `trained` says: it cannot learn.
    """

    kind: Literal["diffusion"] = "diffusion"
    unet: UNetConfig
    start: Start
    trained: Trained = AllParameters()
    autoencoder: str
    """The export of a run, or a whole model whose autoencoder is taken."""
    encoders: str
    """The export of a run, or a whole model whose text or image encoder is taken."""
    data: Data
    panned_pictures: PannedPictures | None = None
    """Clips among those of `data`; only for image-to-video, which needs no captions."""
    validation: Data
    image_probability: Share = 0.0
    """How often a sample is a single frame with what is seen as caption, which the temporal layers leave alone; only
    for text-to-video."""
    noise_levels: NoiseLevels
    noise: TrainingNoise = IndependentNoise()
    weighting: Weighting = VWeighting()
    distance: Distance = SQUARED
    dropout: DropoutConfig
    model: TaskModelConfig
    num_validation_clips: PositiveInt = 4

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        model = self.model
        needs_text = model.task not in FROM_PICTURE
        if self.panned_pictures and model.task != "image-to-video":
            raise ValueError(f"panned_pictures have no captions, which {model.task} needs: leave them out")
        if self.image_probability and model.task != "text-to-video":
            raise ValueError(
                f"image_probability is {self.image_probability}, only text-to-video learns from single frames: it "
                f"should be 0 for {model.task}"
            )
        if isinstance(self.trained, TemporalParameters) and self.unet.temporal_layers is None:
            raise ValueError("trained is temporal, but unet has no temporal layers")
        for data in (self.data, self.validation):
            _check_size(data, model)
        if self.panned_pictures and not isinstance(self.data, WorldData):
            raise ValueError("panned_pictures are made like the clips of a world, data is curated: leave them out")
        for data in (self.data, self.validation):
            if isinstance(data, CuratedData) and isinstance(data.captions, NoCaptions) and needs_text:
                raise ValueError(f"captions are none, {model.task} needs them: they should be sampled")
        if bool(self.unet.concat_channels) != (model.task == "image-to-video"):
            raise ValueError(
                f"unet.concat_channels is {self.unet.concat_channels}, image-to-video alone joins a picture's latent"
            )
        if isinstance(self.validation, WorldData) and self.num_validation_clips > self.validation.num_clips:
            raise ValueError(
                f"num_validation_clips is {self.num_validation_clips}, validation has {self.validation.num_clips} clips"
            )
        if self.unet.vector_dim not in (None, model.micro.vector_dim):  # an image model may take no signals
            raise ValueError(f"unet.vector_dim is {self.unet.vector_dim}, model.micro gives {model.micro.vector_dim}")
        return self


Stage = Annotated[
    AutoencoderStage | EncodersStage | JudgeStage | DiffusionStage | LoraStage | DreamBoothStage | TemporalDecoderStage,
    Field(discriminator="kind"),
]
