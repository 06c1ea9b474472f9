"""Hashes of frames: the bits against scipy's transform, alike for copies, absent for frames of one colour."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
from scipy.fft import dctn

from videoldm.curation.annotators.annotator import ClipFrames, Missing
from videoldm.curation.annotators.picture_hash import PictureHashConfig, hash_vector
from videoldm.curation.annotators.registry import make

ClipOf = Callable[..., ClipFrames]


def hashed(clip: ClipFrames) -> Mapping[str, Any]:
    [values] = make(PictureHashConfig()).annotate([clip])
    assert not isinstance(values, Missing)
    return values


def cosine(one: ClipFrames, other: ClipFrames) -> float:
    a, b = hash_vector(hashed(one)), hash_vector(hashed(other))
    assert a is not None
    assert b is not None
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def views(texture: np.ndarray, left: int = 0) -> list[np.ndarray]:
    return [np.ascontiguousarray(texture[:180, left + 10 * i : left + 10 * i + 320]) for i in range(3)]


def test_bits_are_signs_of_frequencies(clip_of: ClipOf, texture: np.ndarray) -> None:
    frames = views(texture)
    row = hashed(clip_of(frames))
    for place, frame in zip(("first", "middle", "last"), frames, strict=True):
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA)
        wanted = np.asarray(dctn(small.astype(float), norm="ortho"))[:10, :10].ravel()[1:] > 0
        bits = np.unpackbits(np.frombuffer(row[place], np.uint8), count=99).astype(bool)
        assert np.mean(bits == wanted) > 0.98  # a value next to zero may fall on either side


def test_copies_are_alike_and_other_views_are_not(clip_of: ClipOf, texture: np.ndarray) -> None:
    frames = views(texture)
    clip = clip_of(frames)
    darker = [
        cv2.cvtColor((frame * 0.6).astype(np.uint8), cv2.COLOR_RGB2GRAY)[..., None].repeat(3, 2) for frame in frames
    ]
    with_bars = [cv2.copyMakeBorder(frame, 30, 30, 0, 0, cv2.BORDER_CONSTANT) for frame in frames]
    squeezed = [cv2.resize(frame, (240, 180), interpolation=cv2.INTER_AREA) for frame in frames]
    coarse = [cv2.imdecode(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 8])[1], 1) for frame in frames]
    for copies in (darker, with_bars, squeezed, coarse):
        assert cosine(clip, clip_of(copies)) > 0.8
    assert cosine(clip, clip_of(views(texture, left=370))) < 0.3


def test_frames_of_one_colour_have_no_hash(clip_of: ClipOf, texture: np.ndarray) -> None:
    black = np.zeros((180, 320, 3), np.uint8)
    frames = views(texture)
    row = hashed(clip_of([black, *frames[1:]]))
    assert row["first"] is None is not row["last"]
    assert 0.7 < cosine(clip_of([black, *frames[1:]]), clip_of(frames)) < 0.9
    [missing] = make(PictureHashConfig()).annotate([clip_of([black] * 3)])
    assert missing == Missing("its frames are of one colour")
    assert hash_vector(dict.fromkeys(("first", "middle", "last"))) is None
