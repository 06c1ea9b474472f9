"""A temporal decoder on curated clips: whole windows with their latents, and a run on them."""

from fractions import Fraction

import pytest
import torch
from pydantic import ValidationError
from tiny_networks import randomise
from tiny_temporal_decoder import AUTOENCODER, tiny_stage, tiny_training

from videoldm.dataset.config import Bucket
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.training.data.config import CachedLatents, CuratedData, EncodedAnew, Fixed, NoCaptions
from videoldm.training.data.frames import curated_frames
from videoldm.training.loop import train
from videoldm.training.run import curated_inputs
from videoldm.training.stages.temporal_decoder import TemporalDecoderObjective

BUCKET = Bucket(height=16, width=32, num_frames=2, fps=Fraction(5), batch_size=2)


@pytest.fixture
def data(exports):
    return CuratedData(
        folder=str(exports["files"]),
        buckets=(BUCKET,),
        captions=NoCaptions(),
        signals=Fixed(fps=5, motion_bucket=0),
        latents=EncodedAnew(),
    )


def test_windows_come_with_all_frames_and_their_latents(data, tmp_path):
    autoencoder = randomise(Autoencoder(AUTOENCODER))
    frames = curated_frames(data, autoencoder, tmp_path, seed=0)
    assert frames.batch_size_at(0) == 2
    first, again = frames.frames([0, 1]), frames.frames([1, 0])
    assert first.pixels.shape == (2, 2, 3, 16, 32)
    assert torch.equal(first.pixels, again.pixels.flip(0))
    assert torch.equal(first.latents, again.latents.flip(0))
    assert not torch.equal(first.pixels[0], first.pixels[1])
    with torch.no_grad():
        posterior = autoencoder.encode(first.pixels)
    scores = (first.latents - posterior.mean) / (0.5 * posterior.log_variance).exp()
    assert 0.5 < scores.std() < 1.5
    assert [clip.shape for clip in frames.held_out(3)] == [(2, 3, 16, 32)] * 3


def test_a_run_on_curated_clips(data, tmp_path):
    stage = tiny_stage(tmp_path, data=data, validation=data)
    assert set(curated_inputs(stage)) == {"stage.data", "stage.validation"}
    objective = TemporalDecoderObjective(stage, seed=0, cache=tmp_path)
    train(objective, tiny_training(num_samples=6), tmp_path / "run")
    assert (tmp_path / "run/export/model.safetensors").is_file()


def test_what_curated_clips_must_be(data, tmp_path):
    with pytest.raises(ValidationError, match="frames are needed beside latents: anew"):
        tiny_stage(tmp_path, data=data.model_copy(update={"latents": CachedLatents()}))
    with pytest.raises(ValidationError, match=r"data has the bucket 32x16, 2 frames at 5, num_frames is 3"):
        tiny_stage(tmp_path, data=data, num_frames=3)
