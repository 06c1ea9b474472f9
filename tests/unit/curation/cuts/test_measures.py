"""What changes are judged by, on frames whose values are known."""

import itertools
from fractions import Fraction

import cv2
import numpy as np
import pytest

from videoldm.curation.cuts.config import CutConfig
from videoldm.curation.cuts.footage import Footage
from videoldm.curation.cuts.gradual import GradualFinder
from videoldm.curation.cuts.gradual_measures import WindowMeasures
from videoldm.curation.cuts.measures import correlations, details, lost_energy
from videoldm.curation.cuts.signals import LUMA, LUMA_SIZE, PICTURE_CHROMA, SignalTable
from videoldm.curation.cuts.transition import Stretch, Window

COARSE_SCENE = np.random.default_rng(0).integers(0, 256, (6, 33)).astype(np.uint8)
SCENE = cv2.resize(COARSE_SCENE, (3 * LUMA[1], LUMA[0]), interpolation=cv2.INTER_CUBIC).astype(float)


def footage_of(lumas):
    num_frames = len(lumas)
    flat = np.asarray(lumas, np.float32).reshape(num_frames, LUMA_SIZE).round().astype(np.uint8)
    grey = np.full((num_frames, 2 * PICTURE_CHROMA[0] * PICTURE_CHROMA[1]), 128, np.uint8)
    zeros = np.zeros(num_frames, np.float32)
    return Footage(
        SignalTable(
            time_base=Fraction(1, 25), pts=np.arange(num_frames), luma_change=zeros, chroma_change=zeros,
            histogram_change=zeros, pictures=np.concatenate([flat, grey], axis=1),
        )
    )  # fmt: skip


def view(right):
    return SCENE[:, right : right + LUMA[1]]


def test_mixtures_lose_the_energy_that_mixing_takes_and_motion_loses_none():
    old, new, shares = view(0), view(2 * LUMA[1]), np.linspace(0, 1, 5)
    mixed = np.stack([old + share * (new - old) for share in shares])
    energies, apart = mixed.var(axis=(1, 2))[None], np.array([(new - old).var()])
    assert lost_energy(energies, shares[None], apart) == pytest.approx([1.0])
    assert lost_energy(np.full((1, 5), 9.0), shares[None], apart) == pytest.approx([0.0])


def test_correlations_see_neither_light_nor_noise():
    one = np.stack([view(0), np.full(LUMA, 50.0)]).astype(np.float32)
    assert correlations(one, 0.5 * one + 30) == pytest.approx([1.0, 0.0], abs=0.01)
    assert details(one)[1] == pytest.approx(np.zeros(LUMA))


def test_a_shift_explains_a_pan_and_not_another_scene():
    footage = footage_of([view(0), view(8), view(2 * LUMA[1])])
    assert footage.shifted_likeness(0, 1) > 0.95
    assert footage.shifted_likeness(0, 2) < 0.6


def test_motion_is_followed_from_step_to_step_where_one_step_is_too_far():
    footage = footage_of([view(right) for right in range(17)])
    chain = footage.chain(list(range(0, 17, 2)))
    assert chain.likeness > 0.8 > footage.likeness(0, 16)
    assert chain.visible < 0.7
    assert chain.displacement == pytest.approx(32, rel=0.2)


def test_a_dissolve_between_still_pictures_is_measured_as_one():
    old, new = view(0), view(2 * LUMA[1])
    mixed = [old + share * (new - old) for share in np.linspace(0, 1, 13)]
    footage = footage_of([old] * 10 + mixed + [new] * 10)
    finder = GradualFinder(footage, CutConfig().gradual)
    whole = Stretch(0, len(footage))
    quick = WindowMeasures(footage).quick([Window("dissolve", 10, 22, 1.0, whole)])
    assert quick["lost_contrast"] == pytest.approx([1.0], abs=0.05)
    assert quick["unevenness"] == pytest.approx([0.0], abs=0.02)
    assert quick["constancy"] > 0.9
    (found,) = finder.find([whole])
    assert found.kind == "dissolve"
    assert (found.first, found.end) == (pytest.approx(11, abs=1), pytest.approx(22, abs=1))


def test_stretches_are_looked_into_together_as_each_alone():
    pictures = [view(right) for right in (0, LUMA[1], 2 * LUMA[1])]
    dissolves = [
        [old] * 15 + [old + share * (new - old) for share in np.linspace(0, 1, 14)] + [new] * 15
        for old, new in itertools.permutations(pictures, 2)
    ]
    footage = footage_of([frame for part in dissolves for frame in part])
    ends = np.cumsum([0, *map(len, dissolves)]).tolist()
    stretches = [Stretch(*pair) for pair in itertools.pairwise(ends)]
    finder = GradualFinder(footage, CutConfig().gradual)
    together = finder.find(stretches)
    assert len(together) == len(stretches)
    alone = [one for stretch in stretches for one in finder.find([stretch])]
    assert sorted(together, key=lambda one: one.first) == alone
    assert all(stretch.first < one.first < one.end < stretch.end for stretch, one in zip(stretches, alone, strict=True))
