"""Videos whose pixels are wider than high, as of camcorders and DVDs: a round ball stays round."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from curated import CONFIG, Inline, curate
from fault_videos import with_quarter_turn, write
from PIL import Image
from torch import Tensor

from videoldm.curation.config import ClipConfig
from videoldm.curation.export.cut_out import CutOutOptions
from videoldm.curation.export.export import export_files, export_folder, export_index, rows_to_export
from videoldm.dataset.config import Bucket
from videoldm.dataset.exports import ExportedClips, open_export
from videoldm.dataset.source import assign, read_window, window_of
from videoldm.video.picture import fit_picture

STORED, PIXEL_ASPECT = (96, 96), Fraction(16, 9)
WIDE = Bucket(height=54, width=96, num_frames=3, fps=Fraction(5), batch_size=1)
TALL = Bucket(height=96, width=54, num_frames=3, fps=Fraction(5), batch_size=1)
SQUARE = Bucket(height=54, width=54, num_frames=3, fps=Fraction(5), batch_size=1)


def ball() -> np.ndarray:
    """A white ball on black, 54 high and shown as wide, as it is stored."""
    rows, columns = np.mgrid[0 : STORED[1], 0 : STORED[0]]
    shown = (columns - 47.5) * float(PIXEL_ASPECT)
    inside = (rows - 47.5) ** 2 + shown**2 < 27**2
    return np.repeat(np.where(inside, 255, 0).astype(np.uint8)[..., None], 3, axis=-1)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    wide = write(folder / "wide.mp4", [ball()] * 40, pixel_aspect=PIXEL_ASPECT)
    with_quarter_turn(wide, folder / "turned.mp4")
    return folder


def exported(video: Path, folder: Path, form: str) -> ExportedClips:
    config = CONFIG.model_copy(update={"clips": ClipConfig(min_s=0.5)})
    dataset = curate(folder / "dataset", video, config=config)
    rows = rows_to_export(dataset, None)
    with export_folder(folder / form, form):
        if form == "files":
            assert export_files(rows, folder / form, Inline(), CutOutOptions()) == []
        else:
            export_index(rows, folder / form)
    return open_export(folder / form)


def extent(pixels: Tensor) -> tuple[int, int]:
    """Height and width of what is bright."""
    bright = pixels.mean(dim=0) > 0
    return int(bright.any(dim=1).sum()), int(bright.any(dim=0).sum())


@pytest.mark.parametrize("form", ["files", "parquet-index"])
@pytest.mark.parametrize(("name", "number"), [("wide", 0), ("turned", 1)])
def test_ball_stays_round_and_lands_in_the_bucket_that_it_is_shown_like(
    videos: Path, tmp_path: Path, form: str, name: str, number: int
) -> None:
    source = exported(videos / f"{name}.mp4", tmp_path, form)
    buckets = (WIDE, TALL, SQUARE)
    assert [list(clips) for clips in assign(enumerate(source.clips()), buckets).clips] == [
        [0] if place == number else [] for place in range(3)
    ]
    bucket = buckets[number]
    [first, *_] = read_window(source, 0, window_of(source.clip(0).duration_s, bucket, 0, 1))
    height, width = extent(first)
    assert abs(height - width) <= 2
    assert abs(height - 54 * 54 / 96) <= 2


@pytest.mark.parametrize("mode", ["crop", "pad"])
def test_fitting_equals_stretching_to_square_pixels_first(mode: str) -> None:
    shown = np.array(Image.fromarray(ball()).resize((171, 96), Image.Resampling.BICUBIC))
    for height, width in ((54, 96), (54, 54), (96, 54)):
        ours = fit_picture(ball(), height, width, mode, pixel_aspect=PIXEL_ASPECT)  # type: ignore[arg-type]
        theirs = fit_picture(shown, height, width, mode)  # type: ignore[arg-type]
        assert (ours - theirs).abs().mean() < 0.02
