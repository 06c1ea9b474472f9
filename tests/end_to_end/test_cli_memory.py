"""`videoldm generate --vram`: clips in less memory, forecasts, refusals, tiles."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import CommandLine
from made_clips import frames

from videoldm.inference.memory import meter
from videoldm.video.metadata import read_metadata

SMALL = ("--height", 64, "--width", 64, "--num-inference-steps", 2, "--dtype", "float32")


@pytest.fixture
def no_overhead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a limit count the tensors alone, as tiny models have little else."""
    monkeypatch.setattr(meter, "CPU_OVERHEAD", 0)


def forecast_gib(output: str) -> float:
    return max(json.loads(output)["memory"]["forecast_bytes"].values()) / 2**30


@pytest.mark.usefixtures("no_overhead")
def test_measures_are_taken_until_the_clip_fits(cli: CommandLine, cat: Path, pipeline_folder: Path) -> None:
    words = ["generate", cat, "--model", pipeline_folder, *SMALL]
    needed = forecast_gib(cli.succeeds(*words, "-o", "plain.mkv", "--json"))
    outcome = cli(*words, "-o", "saving.mkv", "--vram", 0.9 * needed)
    assert outcome.code == 0, outcome.err
    assert outcome.err.splitlines()[-1].startswith("memory in GiB, forecast (measured): encode 0.")
    assert outcome.err.endswith("measures: idle-networks-leave\n")
    assert read_metadata("saving.mkv") == read_metadata("plain.mkv")
    assert np.array_equal(frames(Path("saving.mkv")), frames(Path("plain.mkv")))
    outcome = cli("generate", "--from", "plain.mkv", "-o", "again.mkv", "--vram", 0.9 * needed)
    assert outcome.err.endswith("measures: idle-networks-leave\n")
    assert np.array_equal(frames(Path("plain.mkv")), frames(Path("again.mkv")))
    assert "need at least" in cli.refuses("generate", "--from", "plain.mkv", "--vram", 0.1 * needed)


@pytest.mark.usefixtures("no_overhead")
def test_what_does_not_fit_is_refused_before_anything_is_read(
    cli: CommandLine, cat: Path, pipeline_folder: Path
) -> None:
    words = ["generate", cat, "--model", pipeline_folder, *SMALL, "--num-frames", 500]
    line = cli.refuses(*words, "--vram", 0.05)
    assert line.startswith("500 frames of 64x64 need at least 0.")
    assert "what fits: " in line
    fitting = int(line.partition("what fits: ")[2].split()[0])
    assert 1 <= fitting < 500
    cli.succeeds(*words[:-1], fitting, "--vram", 0.05)


def test_a_clip_that_fits_says_nothing_unless_asked(cli: CommandLine, cat: Path, tiny_model: Path) -> None:
    words = ["generate", cat, "--model", tiny_model, "--num-inference-steps", 2]
    assert not cli(*words, "-o", "one.mp4").err
    assert "measures: none" in cli(*words, "-o", "two.mp4", "--vram", "auto").err
    assert Path("one.mp4").read_bytes() == Path("two.mp4").read_bytes()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--vram", "lots"), "--vram is 'lots', should be auto or a number of GiB such as 8"),
        (("--vram", "0"), "--vram is '0', should be auto or a number of GiB such as 8"),
        (("--vram", "0.5"), "--vram is 0.5 GiB, it should be more than 1"),
        (
            ("--decode-tiles", "big"),
            "--decode-tiles is 'big', should be a size in pixels such as 512, or size and overlap such as 512:128",
        ),
        (("--decode-tiles", "64:64"), "overlap_px is 64, it should be less than size_px (64)"),
        (("--decode-chunk-size", "0"), "--decode-chunk-size is '0', should be greater than or equal to 1"),
    ],
)
def test_limits_that_mean_nothing(
    cli: CommandLine, cat: Path, tiny_model: Path, words: tuple[str, str], line: str
) -> None:
    assert line in cli.refuses("generate", cat, "--model", tiny_model, *words)


def test_tiles_change_the_clip_and_chunks_do_not(cli: CommandLine, cat: Path, pipeline_folder: Path) -> None:
    words = ["generate", cat, "--model", pipeline_folder, *SMALL]
    cli.succeeds(*words, "-o", "plain.mkv")
    cli.succeeds(*words, "-o", "chunks.mkv", "--decode-chunk-size", 1)
    cli.succeeds(*words, "-o", "tiles.mkv", "--decode-tiles", "32:8")
    plain, chunks, tiles = (frames(Path(f"{name}.mkv")).astype(int) for name in ("plain", "chunks", "tiles"))
    assert abs(plain - chunks).max() <= 1
    assert not np.array_equal(plain, tiles)
    stored = read_metadata("tiles.mkv")
    assert stored is not None
    assert stored["decoding"]["tiles"] == {"size_px": 32, "overlap_px": 8}
