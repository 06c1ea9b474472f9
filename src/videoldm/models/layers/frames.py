"""The two forms of a batch of clips that the layers use.

Frames are `(b t) c h w`: every frame is a picture, for the spatial layers.
Clips are `b c t (h w)`: space is one axis, so that temporal convolution and normalisation are 2-D operations.
"""

from jaxtyping import Float
from torch import Tensor


def fold_frames(video: Float[Tensor, "b t c h w"]) -> Float[Tensor, "bt c h w"]:
    """Make every frame of every clip a row."""
    return video.flatten(0, 1)


def unfold_frames(frames: Float[Tensor, "bt c h w"], num_frames: int) -> Float[Tensor, "b t c h w"]:
    """Undo `fold_frames`."""
    return frames.unflatten(0, (-1, num_frames))


def frames_to_clips(frames: Float[Tensor, "bt c h w"], num_frames: int) -> Float[Tensor, "b c t s"]:
    """View frames as clips with one axis of space."""
    return unfold_frames(frames, num_frames).transpose(1, 2).flatten(3)


def clips_to_frames(clips: Float[Tensor, "b c t s"], height: int) -> Float[Tensor, "bt c h w"]:
    """Undo `frames_to_clips`."""
    return fold_frames(clips.unflatten(3, (height, -1)).transpose(1, 2))
