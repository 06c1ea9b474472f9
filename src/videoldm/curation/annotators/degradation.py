"""Estimate of what a clip's pictures lost by blur, noise, compression or enlargement; no judgement of their beauty."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
import pyarrow as pa
from jaxtyping import UInt8
from pydantic import PositiveInt

from videoldm.core.config import NonNegative
from videoldm.curation.annotators.annotator import PLACES, Annotator, ClipFrames, Missing, Values
from videoldm.curation.annotators.letterbox import LetterboxConfig, find_bars
from videoldm.curation.annotators.models.local_model import unless_missing
from videoldm.curation.annotators.registry import AnnotatorConfig, register

if TYPE_CHECKING:
    from videoldm.curation.annotators.models.degradation_network import DegradationNetwork


class DegradationConfig(AnnotatorConfig):
    """The estimate for the first, middle and last frame."""

    name: Literal["degradation"] = "degradation"
    letterbox: LetterboxConfig = LetterboxConfig()
    least_contrast: NonNegative = 2.0
    """Standard deviation, in levels, below which a frame is of one colour and has no estimate."""
    num_threads: PositiveInt = 1

    @property
    def columns(self) -> pa.Schema:
        """The mean of the estimates, and each of them, null for a frame of one colour."""
        return pa.schema([("degradation", pa.float32()), ("frames", pa.list_(pa.float32(), len(PLACES)))])


@register(DegradationConfig)
class Degradation(Annotator[DegradationConfig]):
    """Estimated 1 - SSIM between small frames and what they would be without degradation, 0 to 1; see `benchmarks`."""

    def annotate(self, clips: Sequence[ClipFrames]) -> list[Values]:
        """Judge the frames of each clip; none has values if the package with the network is not installed."""
        if isinstance(self._network, Missing):
            return [self._network] * len(clips)
        return [self._values(clip, self._network) for clip in clips]

    @cached_property
    def _network(self) -> DegradationNetwork | Missing:
        from videoldm.curation.annotators.models.degradation_network import DegradationNetwork

        return unless_missing(lambda: DegradationNetwork(self.config.num_threads))

    def _values(self, clip: ClipFrames, network: DegradationNetwork) -> Values:
        pictures = [frame.pixels for frame in clip.first_middle_last]
        if len({picture.shape for picture in pictures}) == 1:
            bars = find_bars(np.stack([picture.max(axis=2) for picture in pictures]), self.config.letterbox)
            pictures = [bars.cut_off(picture) for picture in pictures]
        estimates = [float(network([one])[0]) if self._has_contrast(one) else None for one in pictures]
        known = [one for one in estimates if one is not None]
        if not known:
            return Missing("its frames are of one colour, in which no loss can be seen")
        return {"degradation": float(np.mean(known)), "frames": estimates}

    def _has_contrast(self, picture: UInt8[np.ndarray, "h w 3"]) -> bool:
        return bool((cv2.meanStdDev(picture)[1] >= self.config.least_contrast).any())
