"""Curated clips as a stage that denoises reads them: windows become latents and what conditions are made from."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import assert_never

import torch

from videoldm.conditioners.motion import motion_of_bucket
from videoldm.core.random import SampleKey, python_random
from videoldm.dataset.clips import ClipRecord, to_pixels
from videoldm.tasks.task import TrainingClips
from videoldm.training.data.choose import caption_shares
from videoldm.training.data.config import Fixed, Measured, NoCaptions
from videoldm.training.data.curated_windows import CuratedWindows, ReadWindow
from videoldm.training.data.samples import Samples, first_frame
from videoldm.training.data.store import EncodedWindow
from videoldm.training.data.windows import Wanted


class CuratedClips:
    """See `TrainingData`."""

    def __init__(self, reader: CuratedWindows, *, seed: int) -> None:
        self.reader, self._seed = reader, seed

    @property
    def num_clips(self) -> int:
        """Of the model's size."""
        return self.reader.num_clips

    def samples(self, positions: Sequence[int], *, is_image: bool) -> Samples:
        """See `TrainingData`; the latents of a clip are drawn by the sample's own stream."""
        read, waiting_s = self.reader(positions)
        return self._samples(read, [(self._seed, position) for position in positions], waiting_s, is_image=is_image)

    def held_out(self, number: int, count: int, key: SampleKey) -> Samples:
        """See `TrainingData`."""
        slot = number * self.num_clips // count
        return self._samples([self.reader.of_main_bucket(slot)], [key], 0.0, is_image=False)

    def shown(self, keys: Sequence[SampleKey]) -> TrainingClips:
        """See `TrainingData`."""
        read = [self.reader.of_main_bucket(slot) for slot in range(len(keys))]
        return self._training_clips(read, [self.reader.encoded(one) for one in read], keys)

    def _samples(
        self, read: Sequence[ReadWindow], keys: Sequence[SampleKey], waiting_s: float, *, is_image: bool
    ) -> Samples:
        windows = [self.reader.encoded(one) for one in read]
        latents = torch.stack([window.draw(key) for window, key in zip(windows, keys, strict=True)])
        if is_image:
            starts = [first_frame(latents.shape[1] - 1, key) for key in keys]
            latents = torch.stack([clip[start : start + 1] for clip, start in zip(latents, starts, strict=True)])
        return Samples(latents, self._training_clips(read, windows, keys), waiting_s)

    def _training_clips(
        self, read: Sequence[ReadWindow], windows: Sequence[EncodedWindow], keys: Sequence[SampleKey]
    ) -> TrainingClips:
        return TrainingClips(
            samples=keys,
            records=[self._record(one.wanted, key) for one, key in zip(read, keys, strict=True)],
            first_frames=torch.stack([to_pixels(window.first_frame) for window in windows]),
        )

    def _record(self, wanted: Wanted, key: SampleKey) -> ClipRecord:
        """What the conditions of a sample are made from."""
        clip, data = self.reader.source.clip(wanted.index), self.reader.data
        caption = image_caption = ""
        if not isinstance(data.captions, NoCaptions):
            shares = caption_shares(data.captions, clip)
            seed, *position = key
            [kind] = python_random(seed, "caption", *position).choices(list(shares), list(shares.values()))
            caption, image_caption = clip.captions[kind], clip.captions.get("image", clip.captions[kind])
        match data.signals:
            case Measured():
                assert clip.motion is not None, "clips without measured motion were left out"
                fps, motion = wanted.bucket.fps, clip.motion
            case Fixed(fps=rate, motion_bucket=motion_bucket):
                fps, motion = Fraction(str(rate)), motion_of_bucket(motion_bucket)
            case _:
                assert_never(data.signals)
        return ClipRecord(caption=caption, image_caption=image_caption, fps=fps, motion=motion)
