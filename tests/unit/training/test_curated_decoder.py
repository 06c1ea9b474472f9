"""The temporal decoder's training on curated clips: what it sees of them, and that a run goes on as it began."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from tiny_temporal_decoder import START_SAMPLES, tiny_stage, tiny_training

from videoldm.core.errors import InputError
from videoldm.dataset.config import Bucket
from videoldm.dataset.exports import open_export
from videoldm.dataset.source import read_window, window_of
from videoldm.training.data.config import CachedLatents, CuratedData, EncodedAnew, NoCaptions
from videoldm.training.loop import train
from videoldm.training.recipe import Recipe
from videoldm.training.stages.temporal_decoder.config import TemporalDecoderStage
from videoldm.training.stages.temporal_decoder.data import EncodedClips
from videoldm.training.stages.temporal_decoder.objective import TemporalDecoderObjective
from videoldm.video.read import frames_at

pytestmark = pytest.mark.slow

SMALL = Bucket(height=16, width=16, num_frames=2, fps=Fraction(5), batch_size=2)
LARGE = Bucket(height=32, width=32, num_frames=2, fps=Fraction(10), batch_size=3)
LATE = range(START_SAMPLES, START_SAMPLES + 2)


def curated(folder: Path, **changes: Any) -> CuratedData:
    data = CuratedData(
        folder=str(folder), buckets=(SMALL,), captions=NoCaptions(), latents=EncodedAnew(windows_per_clip=1)
    )
    return data.model_copy(update=changes)


def stage_on(parts: Path, data: CuratedData, **changes: object) -> TemporalDecoderStage:
    return tiny_stage(parts, data=data.model_dump(), validation=data.model_dump(), **changes)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("parts")


def test_decoder_sees_whole_windows_and_their_own_latents(
    exports: dict[str, Path], parts: Path, tmp_path: Path
) -> None:
    objective = TemporalDecoderObjective(
        stage_on(parts, curated(exports["webdataset"]), latent_noise={"kind": "none"}), seed=0, cache=tmp_path
    )
    source = open_export(exports["webdataset"])
    shown = {
        index: read_window(source, index, window_of(source.clip(index).duration_s, SMALL, 0, 1)) for index in range(6)
    }
    seen = objective._data.encoded(range(6))
    found = []
    for pixels, latents in zip(seen.pixels, seen.latents, strict=True):
        [index] = [number for number, clip in shown.items() if torch.equal(clip, pixels)]
        found.append(index)
        posterior = objective.autoencoder.encode(pixels[None])
        spread = (0.5 * posterior.log_variance[0]).exp()
        assert ((latents - posterior.mean[0]) / spread).abs().max() < 6
        assert not torch.equal(latents, posterior.mean[0])
    assert sorted(found) == list(range(6))
    held_out = torch.stack(objective._validation.held_out(2))
    assert torch.equal(held_out, torch.stack([shown[0], shown[1]]))


def test_batches_are_those_of_the_buckets(exports: dict[str, Path], parts: Path, tmp_path: Path) -> None:
    both = curated(exports["files"], buckets=(SMALL, LARGE))
    objective = TemporalDecoderObjective(stage_on(parts, both), seed=0, cache=tmp_path)
    position, shapes = 0, set()
    while len(shapes) < 2:
        size = objective.batch_size_at(position)
        assert size is not None
        pixels = objective._data.encoded(range(position, position + size)).pixels
        shapes.add(tuple(pixels.shape))
        assert objective.decoder_losses(range(position, position + size)).per_sample.isfinite().all()
        position += size
    assert shapes == {(2, 2, 3, 16, 16), (3, 2, 3, 32, 32)}


def test_both_players_learn_from_clips_that_are_read_once(
    exports: dict[str, Path], parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective = TemporalDecoderObjective(stage_on(parts, curated(exports["files"])), seed=0, cache=tmp_path)
    read: list[int] = []
    encoded = objective._data.encoded

    def counting(positions: Sequence[int]) -> EncodedClips:
        read.extend(positions)
        return encoded(positions)

    monkeypatch.setattr(objective._data, "encoded", counting)
    config = tiny_training(num_samples=8, batch_size=4, accumulation_steps=2, validate_every_samples=99)
    train(objective, config, tmp_path / "run")
    assert read == list(range(8))
    assert objective._for_discriminator == {}


def test_validation_shows_clips_beside_what_is_made_of_them(
    exports: dict[str, Path], parts: Path, tmp_path: Path
) -> None:
    objective = TemporalDecoderObjective(stage_on(parts, curated(exports["files"])), seed=0, cache=tmp_path)
    with torch.no_grad():
        figures = objective.validate(tmp_path)
    assert figures["psnr"] > 0
    assert sorted(path.name for path in tmp_path.glob("*.*")) == ["000.mp4", "001.mp4", "clip.png"]
    [first] = frames_at(tmp_path / "000.mp4", [Fraction(0)])
    assert first.pixels.shape == (16, 32, 3)


def test_interrupted_run_equals_uninterrupted_one(exports: dict[str, Path], parts: Path, tmp_path: Path) -> None:
    def objective() -> TemporalDecoderObjective:
        return TemporalDecoderObjective(stage_on(parts, curated(exports["files"])), seed=0, cache=tmp_path)

    whole, first, second = objective(), objective(), objective()
    train(whole, tiny_training(), tmp_path / "whole")
    train(first, tiny_training(num_samples=6), tmp_path / "broken")
    train(second, tiny_training(), tmp_path / "broken")
    torch.testing.assert_close(second.autoencoder.state_dict(), whole.autoencoder.state_dict(), rtol=0, atol=0)
    records = [json.loads(line) for line in (tmp_path / "whole/log.jsonl").read_text().splitlines()]
    assert any("validation/psnr" in record for record in records)
    assert sum(record.get("waiting_share", 0) for record in records) > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latents": CachedLatents()}, "latents.kind is cached, a decoder sees pixels: take anew"),
        (
            {"buckets": (SMALL, LARGE.model_copy(update={"num_frames": 3}))},
            "32x32, 3 frames at 10 should have 2 frames",
        ),
    ],
)
def test_clips_that_cannot_be_decoded_are_refused(parts: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        stage_on(parts, curated(Path("clips"), **changes))


def test_run_checks_its_clips_as_other_stages_do(exports: dict[str, Path], parts: Path, tmp_path: Path) -> None:
    stage = stage_on(parts, curated(exports["files"]))
    assert set(stage.curated) == {"stage.data", "stage.validation"}
    with pytest.raises(
        ValidationError, match=r"training.batch_size is 4, the largest batch of stage.data.buckets is 2"
    ):
        Recipe(name="decoder", summary="tiny", stage=stage, training=tiny_training(batch_size=4))
    long = SMALL.model_copy(update={"fps": Fraction(1, 60)})
    with pytest.raises(InputError, match="no clip is for the bucket"):
        TemporalDecoderObjective(stage_on(parts, curated(exports["files"], buckets=(long,))), seed=0, cache=tmp_path)


def test_gradients_of_a_first_norm_do_not_crash(exports: dict[str, Path], parts: Path, tmp_path: Path) -> None:
    """PyTorch 2.13 does where channels come last in memory and nothing before the norm is trained."""
    objective = TemporalDecoderObjective(stage_on(parts, curated(exports["files"])), seed=0, cache=tmp_path)
    assert objective._data.encoded(LATE).latents.is_contiguous()
    objective.decoder_losses(LATE).per_sample.sum().backward()
