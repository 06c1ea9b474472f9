"""Text to video: the prompt's tokens are the context of every cross-attention."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from videoldm.conditioners.micro import bucket_of_motion
from videoldm.diffusion.conditioning import Conditioning
from videoldm.tasks.model import VideoModel
from videoldm.tasks.task import Inputs, TrainingClips, signal_vector


class TextToVideo:
    """See `Task`. The noise level is always 0: there is no condition frame."""

    def training_inputs(self, clips: TrainingClips) -> Inputs:
        """Caption, frame rate and measured motion of each clip."""
        return Inputs(
            samples=clips.samples,
            prompts=[record.caption for record in clips.records],
            fps=[float(record.fps) for record in clips.records],
            motion_bucket=[bucket_of_motion(record.motion) for record in clips.records],
            noise_level=[0.0] * len(clips.records),
        )

    def conditioning(self, model: VideoModel, inputs: Inputs, *, num_frames: int) -> Conditioning:
        """Tokens of the prompts, and the signals."""
        with model.at_work(model.text_conditioner.model):
            context = model.text_conditioner(inputs.prompts)
        return Conditioning(
            context=context,
            temporal_context=_temporal_context(model, inputs),
            vector=signal_vector(model, inputs, num_frames=num_frames),
        )

    def null_context(self, model: VideoModel) -> Float[Tensor, "1 n d"]:
        """Tokens of the empty prompt."""
        with model.at_work(model.text_conditioner.model):
            return model.text_conditioner.null()

    def finish(self, inputs: Inputs, pixels: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, "b t 3 h w"]:
        """All frames as they are."""
        del inputs
        return pixels


def _temporal_context(model: VideoModel, inputs: Inputs) -> Float[Tensor, "b n d"] | None:
    """Tokens from the temporal layers' own text encoder; None where they read those of the spatial ones."""
    if model.temporal_text is None:
        return None
    with model.at_work(model.temporal_text.model):
        return model.temporal_text(inputs.prompts)
