"""The stages' configurations; torch-free, so that recipes print and validate without it."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from videoldm.core.config import Config
from videoldm.core.numbers import NonNegative, Share
from videoldm.measures.features.config import FeatureNetworkConfig
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.models.clip.config import ImageEncoderConfig, TextEncoderConfig
from videoldm.models.unet.config import UNetConfig
from videoldm.synthetic.vocabulary import LABELS
from videoldm.tasks.config import TaskModelConfig
from videoldm.training.data.config import CuratedData
from videoldm.training.stages.data_config import Data, WorldData
from videoldm.training.stages.denoising_config import ClipStage
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


Stage = Annotated[
    AutoencoderStage | EncodersStage | JudgeStage | DiffusionStage | LoraStage | DreamBoothStage | TemporalDecoderStage,
    Field(discriminator="kind"),
]
