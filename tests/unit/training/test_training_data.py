"""Rendered clips and their latents: made once, extended without a redraw, told apart by what they depend on."""

import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_model_folder import AUTOENCODER
from tiny_networks import randomise

from videoldm.conditioners.micro import bucket_of_motion
from videoldm.core.errors import InputError
from videoldm.dataset.clips import to_stored
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.synthetic.captions import image_caption
from videoldm.synthetic.config import WorldOptions
from videoldm.synthetic.render import render
from videoldm.synthetic.scene import sample_scene
from videoldm.training.data.config import Fixed, Measured, Signals, WorldData
from videoldm.training.data.latents import LatentCache
from videoldm.training.data.pictures import PictureCrops
from videoldm.training.data.samples import RenderedTrainingData, first_frame
from videoldm.training.data.world import chosen_clips, prepare_world

DATA = WorldData(num_clips=64, num_frames=2, height=16, width=16)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    prepare_world(DATA, folder)
    return folder


def test_clips_are_those_of_their_scenes(cache: Path) -> None:
    clips = prepare_world(DATA, cache)
    scene = sample_scene(DATA.seed, DATA.split, 37, DATA.options)
    rendered = render([scene], num_frames=2, fps=DATA.rates[0], height=16, width=16)
    assert torch.equal(clips.pixels_uint8(37), to_stored(rendered.pixels)[0])
    record = clips.records[37]
    assert record.image_caption == image_caption(scene)
    assert record.fps == DATA.rates[0]
    speed = rendered.motion[0].norm(dim=1).mean() * float(DATA.rates[0]) / 16
    assert record.motion == pytest.approx(float(speed), rel=1e-5)


def test_a_larger_set_begins_with_the_smaller_one(cache: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*.safetensors")}
    larger = prepare_world(DATA.model_copy(update={"num_clips": 128}), cache)
    assert len(larger) == 128
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert larger.records[100].fps == DATA.rates[1]


def test_other_worlds_lie_elsewhere(cache: Path) -> None:
    other = prepare_world(DATA.model_copy(update={"split": "test"}), cache)
    assert other.paths[0].parent != prepare_world(DATA, cache).paths[0].parent


def test_latents_are_drawn_from_the_posterior_by_position(cache: Path) -> None:
    autoencoder = randomise(Autoencoder(AUTOENCODER)).eval()
    clips = prepare_world(DATA, cache)
    latents = LatentCache(clips, autoencoder, cache)
    with torch.no_grad():
        posterior = autoencoder.encode(clips.pixels(5)[None])
    draws = torch.stack([latents.draw(5, 0, position) for position in range(400)])
    deviation = (0.5 * posterior.log_variance[0]).exp()
    error = (draws.mean(0) - posterior.mean[0]).abs() / deviation
    assert float(error.max()) < 0.3
    assert torch.equal(latents.draw(5, 0, 3), draws[3])
    assert not torch.equal(draws[3], draws[4])


def test_a_model_may_be_told_the_same_of_all_clips(cache: Path) -> None:
    fixed = Fixed(fps=9.5, motion_bucket=110)
    clips = prepare_world(DATA.model_copy(update={"signals": fixed}), cache)
    assert clips.paths == prepare_world(DATA, cache).paths, "what is told changes no clip"
    latents = LatentCache(clips, randomise(Autoencoder(AUTOENCODER)).eval(), cache)

    def told(signals: Signals) -> list[tuple[Fraction, int]]:
        data = RenderedTrainingData(clips, latents, chosen=range(64), num_frames=2, seed=0, signals=signals)
        records = [*data.samples(range(8), is_image=False).clips.records, *data.shown([(0,), (1,)]).records]
        return [(one.fps, bucket_of_motion(one.motion)) for one in records]

    assert told(fixed) == [(Fraction("9.5"), 110)] * 10
    assert len(set(told(Measured()))) > 2


def test_clips_may_be_chosen_by_their_camera(cache: Path) -> None:
    panning = DATA.model_copy(update={"cameras": ("pan_left", "pan_right")})
    clips = prepare_world(panning, cache)
    assert clips.paths == prepare_world(DATA, cache).paths, "the world is the same"
    scenes = [sample_scene(DATA.seed, DATA.split, index, DATA.options) for index in range(DATA.num_clips)]
    wanted = [index for index, scene in enumerate(scenes) if scene.camera.motion in panning.cameras]
    assert 0 < len(wanted) < len(scenes)
    chosen = chosen_clips(panning, clips)
    assert chosen == wanted
    assert list(chosen_clips(DATA, clips)) == list(range(DATA.num_clips))
    latents = LatentCache(clips, randomise(Autoencoder(AUTOENCODER)).eval(), cache)
    data = RenderedTrainingData(clips, latents, chosen=chosen, num_frames=2, seed=0, signals=Measured())
    assert data.num_clips == len(wanted)
    captions = {clips.records[index].caption for index in wanted}
    seen = [*data.samples(range(3 * len(wanted)), is_image=False).clips.records]
    seen += [*data.held_out(1, 2, (0, 1)).clips.records, *data.shown([(0,)]).records]
    assert {record.caption for record in seen} == captions
    static = DATA.model_copy(update={"options": WorldOptions(static_camera=1.0)})
    with pytest.raises(InputError, match=r"data.cameras is pan_left, pan_right, but no train clip has such a camera"):
        chosen_clips(panning, prepare_world(static, cache))


def test_frames_are_those_of_the_window_that_a_sample_is_of(tmp_path: Path) -> None:
    clips = prepare_world(DATA.model_copy(update={"num_frames": 5}), tmp_path)
    latents = LatentCache(clips, randomise(Autoencoder(AUTOENCODER)).eval(), tmp_path)
    data = RenderedTrainingData(clips, latents, chosen=range(64), num_frames=3, seed=0, signals=Measured())
    found = data.samples(range(8), is_image=False).clips
    frames, starts = found.frames([0, 1, 2, -1]), set()
    for row, position in enumerate(range(8)):
        start = first_frame(2, (0, position))
        window = clips.pixels(data.reader.clip(position))[start : start + 3]
        assert torch.equal(frames[row], window[[0, 1, 2, 2]])
        starts.add(start)
    assert len(starts) > 1
    assert torch.equal(found.first_frames, frames[:, 0])
    assert torch.equal(data.shown([(0,)]).frames([-1])[0, 0], clips.frame(0, 2))
    with pytest.raises(IndexError):
        data.samples(range(8), is_image=True).clips.frames([1])


def test_latents_of_another_encoder_are_encoded_anew(cache: Path) -> None:
    clips = prepare_world(DATA, cache)
    first = LatentCache(clips, randomise(Autoencoder(AUTOENCODER)).eval(), cache)
    changed = randomise(Autoencoder(AUTOENCODER)).eval()
    changed.encoder.conv_in.weight.data.mul_(1.5)
    second = LatentCache(clips, changed, cache)
    assert not torch.equal(first.draw(0, 0, 0), second.draw(0, 0, 0))


def test_crops_are_turned_mirrored_and_recoloured(tmp_path: Path) -> None:
    """Of a picture whose red grows to the right and whose green grows downwards; blue is 0."""
    ramp = np.linspace(0, 255, 32).astype(np.uint8)
    red, green = np.meshgrid(ramp, ramp)
    Image.fromarray(np.stack([red, green, np.zeros_like(red)], axis=-1)).save(tmp_path / "ramps.png")
    crops = PictureCrops(str(tmp_path), size=(16, 16))
    slopes = set()
    for index in range(600):
        crop = crops.crop(random.Random(index))
        assert crop.shape == (3, 16, 16)
        found = [(float(one.diff(dim=1).mean()), float(one.diff(dim=0).mean())) for one in crop]
        slopes.add(tuple((round(20 * across), round(20 * down)) for across, down in found))
    assert len(slopes) == 6 * 8  # orders of three colours, and ways to lay a square down


def test_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder without pictures"):
        PictureCrops(str(tmp_path), size=(16, 16))
