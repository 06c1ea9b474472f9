"""Clips over pictures whose colours say where they are, so that a clip's camera can be read off its pixels.

Of the three colours, in any order, one grows to the right, one grows downwards and one is 0.
"""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from videoldm.core.errors import InputError
from videoldm.dataset.clips import ClipShards
from videoldm.training.data.config import PannedPictures, WorldData
from videoldm.training.data.pictures import LARGEST_ZOOM, MAX_SPEED, prepare_panned_pictures

FRAME_PX, PICTURE_PX, NUM_FRAMES, FPS = 16, 32, 5, Fraction(2)
LIKE = WorldData(num_clips=64, num_frames=NUM_FRAMES, height=FRAME_PX, width=FRAME_PX, rates=(FPS,))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> PannedPictures:
    folder = tmp_path_factory.mktemp("pictures")
    ramp = np.round((np.arange(PICTURE_PX) + 0.5) * 255 / PICTURE_PX)
    red, green = np.meshgrid(ramp, ramp)
    colours = np.stack([red, green, np.zeros_like(red)], axis=-1).astype(np.uint8)
    Image.fromarray(colours).save(folder / "ramps.png")
    return PannedPictures(folder=str(folder), num_clips=64)


@pytest.fixture(scope="module")
def clips(pictures: PannedPictures, tmp_path_factory: pytest.TempPathFactory) -> ClipShards:
    return prepare_panned_pictures(pictures, LIKE, tmp_path_factory.mktemp("cache"))


def places(clips: ClipShards, index: int) -> torch.Tensor:
    """Where in the picture each pixel of a clip comes from, t x y 2, in pixels of the picture."""
    pixels = clips.pixels(index)
    right = int(pixels[0].diff(dim=-1).mean(dim=(1, 2)).argmax())
    down = int(pixels[0].diff(dim=-2).mean(dim=(1, 2)).argmax())
    return (pixels[:, [right, down]].movedim(1, -1) + 1) / 2 * PICTURE_PX


def test_colours_come_in_any_order(clips: ClipShards) -> None:
    empty = {int((clips.pixels(index) + 1).mean(dim=(0, 2, 3)).argmin()) for index in range(len(clips))}
    assert empty == {0, 1, 2}


def test_recorded_motion_is_that_of_the_pixels(clips: ClipShards) -> None:
    for index in range(len(clips)):
        seen = places(clips, index)
        zoom = (seen[:, 8, 12, 0] - seen[:, 8, 3, 0]) / 9
        centre = seen[:, 4:12, 4:12].mean(dim=(1, 2))
        # A pixel's place, in pixels of the next frame, less where the pixel is now.
        next_view = (seen[:-1] - centre[1:, None, None]) / zoom[1:, None, None, None]
        this_view = (seen[:-1] - centre[:-1, None, None]) / zoom[:-1, None, None, None]
        motion = (next_view - this_view).norm(dim=-1).mean() * float(FPS) / FRAME_PX
        assert clips.records[index].motion == pytest.approx(float(motion), rel=0.1, abs=0.02)


def test_cameras_differ_and_stay_within_their_limits(clips: ClipShards) -> None:
    motions = torch.tensor([record.motion for record in clips.records])
    assert 0 <= float(motions.min()) < 0.1 < float(motions.max()) <= 2 * MAX_SPEED
    zooms = torch.stack([(places(clips, i)[:, 8, 12, 0] - places(clips, i)[:, 8, 3, 0]) / 9 for i in range(64)])
    assert float(zooms.min()) > 0.9
    assert float(zooms.max()) < 1.1 * LARGEST_ZOOM
    changes = (zooms[:, -1] / zooms[:, 0]).log()
    assert (changes > 0.1).any()
    assert (changes < -0.1).any()
    assert int((changes.abs() < 0.02).sum()) > 16


def test_frames_show_the_picture_and_nothing_beyond_it(clips: ClipShards) -> None:
    """A window that left the picture would repeat its border, so that neighbours would have one colour."""
    for index in range(len(clips)):
        seen = places(clips, index)
        assert float((seen[:, 4, 1:, 0] - seen[:, 4, :-1, 0]).min()) > 0.5
        assert float((seen[:, 1:, 4, 1] - seen[:, :-1, 4, 1]).min()) > 0.5


def test_made_once_and_anew_for_other_pictures(pictures: PannedPictures, clips: ClipShards, tmp_path: Path) -> None:
    cache = clips.paths[0].parent.parent
    before = clips.paths[0].stat().st_mtime_ns
    more = prepare_panned_pictures(pictures.model_copy(update={"num_clips": 128}), LIKE, cache)
    assert (len(more), more.paths[0].stat().st_mtime_ns) == (128, before)

    Image.new("RGB", (PICTURE_PX, PICTURE_PX), "teal").save(tmp_path / "teal.png")
    other = prepare_panned_pictures(PannedPictures(folder=str(tmp_path), num_clips=64), LIKE, cache)
    assert other.paths[0].parent != clips.paths[0].parent


def test_pictures_that_are_too_small_are_named(tmp_path: Path) -> None:
    Image.new("RGB", (23, 40)).save(tmp_path / "narrow.png")
    with pytest.raises(InputError, match=r"narrow.png has 23x40 pixels, both sides should be at least 24"):
        prepare_panned_pictures(PannedPictures(folder=str(tmp_path), num_clips=64), LIKE, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
