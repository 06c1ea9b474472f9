"""Rendering of long videos with known cuts, fades, dissolves, flashes, static spans and text, frame by frame."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.synthetic.overlay import Frame, draw_text
from videoldm.synthetic.render import render_pixels
from videoldm.synthetic.timeline import FrameSpan, LongVideoOptions, LongVideoRecord, Shot, plan_long_video

FRAMES_AT_ONCE = 16


class LongVideo:
    """Video number `index` of the world: `record` is its ground truth, `frames` renders it.

    The same arguments always give the same frames. `pictures` are needed if the options allow photo grounds.
    """

    def __init__(
        self,
        seed: int,
        index: int = 0,
        options: LongVideoOptions | None = None,
        *,
        device: torch.device | str = "cpu",
        pictures: Float[Tensor, "n 3 y x"] | None = None,
    ) -> None:
        self.options = options or LongVideoOptions()
        self.record: LongVideoRecord = plan_long_video(seed, index, self.options)
        self._device = device
        self._pictures = pictures

    def frames(self) -> Iterator[Frame]:
        """Yield all frames in order as uint8 `h w 3`; only a few are in memory at once."""
        record = self.record
        shown = [self._shot_frames(shot) for shot in record.shots]
        for number in range(record.num_frames):
            pictures = [next(shown[i]) for i, shot in enumerate(record.shots) if number in shot.span]
            frame = self._mixed(number, pictures)
            frame = (frame * 255).round().astype(np.uint8)
            for box in record.texts:
                if box.first_frame <= number <= box.last_frame:
                    frame = draw_text(frame, box)
            yield frame

    def _shot_frames(self, shot: Shot) -> Iterator[np.ndarray]:
        """Yield the shot's own frames as float `h w 3` in [0, 1]."""
        length = shot.span.last_frame - shot.span.first_frame + 1
        for first in range(0, length, FRAMES_AT_ONCE):
            pixels = render_pixels(
                [shot.scene],
                first_frame=first,
                num_frames=min(FRAMES_AT_ONCE, length - first),
                fps=self.record.fps,
                height=self.record.height,
                width=self.record.width,
                supersampling=self.options.supersampling,
                device=self._device,
                pictures=self._pictures,
            )
            yield from (pixels[0].permute(0, 2, 3, 1).cpu().numpy() * 0.5 + 0.5)

    def _mixed(self, number: int, pictures: list[np.ndarray]) -> np.ndarray:
        """Combine the shots' `pictures` by the transition and the flashes at frame `number`."""
        frame = pictures[0]
        for transition in self.record.transitions:
            if number not in transition.span:
                continue
            if transition.kind == "dissolve":
                frame = frame + (pictures[1] - frame) * _share(number, transition.span)
            elif transition.kind == "fade":
                frame = frame * (1 - _strength(number, transition.span))
            elif transition.kind == "flash":
                frame = frame + (1 - frame) * _strength(number, transition.span)
        for flash in self.record.inner_flashes:
            if number in flash:
                frame = frame + (1 - frame) * _strength(number, flash)
        return frame


def _share(number: int, span: FrameSpan) -> float:
    """Return the weight of the new shot in a dissolve, above 0 and below 1 on all of its frames."""
    return (number - span.first_frame + 1) / (span.last_frame - span.first_frame + 2)


def _strength(number: int, span: FrameSpan) -> float:
    """Return a weight that is 0 just outside `span` and 1 on its middle frame."""
    middle, half = (span.first_frame + span.last_frame) / 2, (span.last_frame - span.first_frame) / 2 + 1
    return 1 - abs(number - middle) / half
