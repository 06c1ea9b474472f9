"""`videoldm generate --speed`: another clip than exact, stored with it, and repeated from there."""

from pathlib import Path

import numpy as np
import pytest
from command_line import CommandLine
from made_clips import frames

from videoldm.inference.config import LADDER
from videoldm.video.metadata import read_metadata

STEPS = ("--num-inference-steps", 6)


@pytest.mark.parametrize("words", [("cat.png",), ("--prompt", "a red cube moves")])
def test_a_fast_clip_differs_from_the_exact_one_and_repeats(
    cli: CommandLine, tiny_model: Path, cat: Path, words: tuple[str, ...]
) -> None:
    made = ["generate", *words, "--model", tiny_model, *STEPS]
    cli.succeeds(*made, "-o", "plain.mkv")
    cli.succeeds(*made, "--speed", "exact", "-o", "exact.mkv")
    cli.succeeds(*made, "--speed", "fast", "-o", "fast.mkv")
    cli.succeeds("generate", "--from", "fast.mkv", "-o", "again.mkv")
    assert np.array_equal(frames(Path("plain.mkv")), frames(Path("exact.mkv")))
    assert not np.array_equal(frames(Path("exact.mkv")), frames(Path("fast.mkv")))
    assert np.array_equal(frames(Path("fast.mkv")), frames(Path("again.mkv")))
    stored = read_metadata("again.mkv")
    assert stored is not None
    assert stored == read_metadata("fast.mkv")
    assert stored["request"]["speed"] == "fast"
    reuse = LADDER["fast"].reuse
    assert stored["request"]["sampling"]["reuse"] == (None if reuse is None else reuse.model_dump())


def test_options_of_the_user_go_before_the_rungs(cli: CommandLine, tiny_model: Path, cat: Path) -> None:
    options = ["--num-inference-steps", 3, "--schedule", "exponential", "--guidance-scale", 1.5]
    cli.succeeds("generate", cat, "--model", tiny_model, "--speed", "turbo", *options, "-o", "clip.mkv")
    stored = read_metadata("clip.mkv")
    assert stored is not None
    sampling = stored["request"]["sampling"]
    assert sampling["num_inference_steps"] == 3
    assert sampling["schedule"]["kind"] == "exponential"
    assert sampling["guidance"]["scale"] == {"kind": "constant", "scale": 1.5}
    interval = LADDER["turbo"].guidance_interval
    assert interval is not None
    assert sampling["guidance"]["interval"] == interval.model_dump()


def test_an_unknown_speed_is_refused(cli: CommandLine, tiny_model: Path, cat: Path) -> None:
    error = cli.refuses("generate", cat, "--model", tiny_model, "--speed", "warp")
    assert "--speed" in error
    assert "warp" in error
    assert "'turbo'" in error


def test_the_speed_of_a_repeated_clip_cannot_be_changed(cli: CommandLine, tiny_model: Path, cat: Path) -> None:
    cli.succeeds("generate", cat, "--model", tiny_model, "-o", "clip.mkv")
    assert "--speed cannot be given beside --from" in cli.refuses("generate", "--from", "clip.mkv", "--speed", "fast")
