"""Text to image, the first stage of training: clips of a single frame that stands still."""

from __future__ import annotations

from videoldm.tasks.task import Inputs, TrainingClips
from videoldm.tasks.text_to_video import TextToVideo


class TextToImage(TextToVideo):
    """Text to video with captions that say nothing of motion."""

    def training_inputs(self, clips: TrainingClips) -> Inputs:
        """The caption of what is to be seen; the signals are those of a still."""
        count = len(clips.records)
        return Inputs(
            samples=clips.samples,
            prompts=[record.image_caption for record in clips.records],
            fps=[1.0] * count,
            motion_bucket=[0.0] * count,
            noise_level=[0.0] * count,
        )
