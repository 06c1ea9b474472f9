"""Text to video: the prompt's tokens are the context of every cross-attention (Video LDM, section 4.2)."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from videoldm.tasks.task import Inputs, Need, Task, TrainingClips

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from videoldm.diffusion.conditioning import Conditioning
    from videoldm.tasks.model import VideoModel


class TextToVideo(Task):
    """A clip from a sentence. The noise level is always 0: there is no condition frame."""

    name = "text-to-video"
    needs = frozenset({Need.TEXT})
    encoders = ("text_encoder",)
    still_task = "text-to-image"
    idle_options = MappingProxyType(dict.fromkeys(("resize", "noise_aug_strength"), "without a picture"))

    def training_inputs(self, clips: TrainingClips) -> Inputs:
        """Return caption, frame rate and measured motion of each clip."""
        from videoldm.conditioners.micro import bucket_of_motion

        return Inputs(
            samples=clips.samples,
            prompts=[record.caption for record in clips.records],
            fps=[float(record.fps) for record in clips.records],
            motion_bucket=[bucket_of_motion(record.motion) for record in clips.records],
            noise_level=[0.0] * len(clips.records),
        )

    def conditioning(self, model: VideoModel, inputs: Inputs, *, num_frames: int) -> Conditioning:
        """Return the tokens of the prompts, and the signals."""
        from videoldm.tasks.conditioning import text_conditioning

        return text_conditioning(model, inputs, num_frames=num_frames)

    def null_context(self, model: VideoModel) -> Float[Tensor, "1 n d"]:
        """Return the tokens of the empty prompt."""
        from videoldm.tasks.conditioning import empty_prompt

        return empty_prompt(model)
