"""`videoldm generate` from the words to the files, with a tiny model: what works."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from command_line import CommandLine
from made_clips import FEW, frames
from odd_pictures import write_good
from PIL import Image
from tiny_model_folder import NUM_FRAMES, SIZE, STEPS

from videoldm.diffusion.config import SamplerName, ScheduleName
from videoldm.generation import clips as generate_module
from videoldm.generation.clips import generate
from videoldm.generation.request import Request
from videoldm.tasks.config import SamplingConfig
from videoldm.tasks.model import VideoModel
from videoldm.video.metadata import read_metadata
from videoldm.video.probe import probe


def test_picture_to_video(cli: CommandLine, tiny_model: Path, cat: Path) -> None:
    out = cli.succeeds("generate", cat, "--model", tiny_model, "--fps", 6, "--output-fps", 12, "-o", "a/clip.mp4")
    assert out.startswith("a/clip.mp4  (3 frames of 16x16 at 12 fps, seed 23)\n1 clip in ")
    stream = probe("a/clip.mp4").video
    assert (stream.num_frames, stream.width, stream.height, stream.frame_rate) == (NUM_FRAMES, SIZE, SIZE, 12)
    stored = read_metadata("a/clip.mp4")
    assert stored is not None
    assert stored["request"]["fps"] == 6
    assert stored["request"]["sampling"]["num_inference_steps"] == STEPS
    assert stored["request"]["image"] == "cat.png"
    assert len(stored["request"]["image_hash"]) == 40
    assert sorted(path.name for path in Path("a").iterdir()) == ["clip.mp4", "clip.mp4.json"]


def test_prompt_to_videos_as_json_with_a_contact_sheet(cli: CommandLine, tiny_model: Path) -> None:
    words = ["--prompt", "A red cube!", "--model", tiny_model, "--num-videos-per-prompt", 2, "--seed", 7]
    outcome = cli("generate", *words, "--json", "--contact-sheet", "sheet.png", "--motion-bucket-id", "high")
    assert (outcome.code, outcome.err) == (0, "")
    summary = json.loads(outcome.out)
    assert summary["files"] == ["outputs/a-red-cube-7.mp4", "outputs/a-red-cube-8.mp4"]
    assert summary["seeds"] == [7, 8]
    assert [settings["request"]["seed"] for settings in summary["settings"]] == [7, 8]
    assert summary["settings"][0]["request"]["motion_bucket_id"] == 150  # the model's own "high"
    assert summary["settings"][0]["request"]["noise_aug_strength"] == 0
    assert summary["failures"] == {}
    assert summary["seconds"] > 0
    assert all(Path(name).is_file() for name in summary["files"])
    assert Image.open("sheet.png").width > 2 * SIZE
    assert not np.array_equal(frames(Path(summary["files"][0])), frames(Path(summary["files"][1])))


def test_unusual_pictures_work_and_a_bad_one_does_not_stop_them(cli: CommandLine, tiny_model: Path) -> None:
    good = write_good(cli.folder / "in")
    (cli.folder / "in" / "notes.txt").write_text("not meant")
    (cli.folder / "in" / "broken.jpg").write_text("text")
    outcome = cli("generate", "in", "--model", tiny_model, "-o", "out", *FEW)
    assert outcome.code == 1
    assert outcome.err.splitlines()[0] == f"1 of {len(good) + 1} items failed:"
    assert outcome.err.splitlines()[1].startswith("  in/broken.jpg: is not a picture")
    expected = [f"out/{path.stem}-23.mp4" for path in good]
    assert [line.split("  ")[0] for line in outcome.out.splitlines()[:-1]] == expected
    assert np.array_equal(frames(Path("out/upright-23.mp4")), frames(Path("out/upright_by_exif-23.mp4")))
    assert not np.array_equal(frames(Path("out/upright-23.mp4")), frames(Path("out/wide-23.mp4")))


def test_repeating_a_clip_gives_the_same_frames(cli: CommandLine, tiny_model: Path, cat: Path) -> None:
    odd = ["--seed", 5, "--max-guidance-scale", 2.5, "--noise-aug-strength", 0.1, "--resize", "pad", "--output-fps", 9]
    cli.succeeds("generate", cat, "--model", tiny_model, "-o", "first.mkv", *odd)
    cli.succeeds("generate", "--from", "first.mkv", "-o", "second.mkv")
    assert np.array_equal(frames(Path("first.mkv")), frames(Path("second.mkv")))
    assert read_metadata("first.mkv") == read_metadata("second.mkv")
    # From the settings alone, with the picture under another name, as a folder of frames.
    Path("first.mkv.json").rename("kept.json")
    Path("cat.png").rename("moved.png")
    cli.succeeds("generate", "moved.png", "--from", "kept.json", "-o", "third")
    assert np.array_equal(frames(Path("first.mkv")), frames(Path("third")))
    cli.succeeds("generate", "moved.png", "--from", "third")
    assert Path("outputs/third-again.mp4").is_file()


def test_model_in_the_folder_one_is_in(
    cli: CommandLine, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_model)
    cli.succeeds("generate", "--prompt", "a cube", "--model", ".", "-o", tmp_path / "a.mkv", *FEW)


def test_noise_strength_has_no_effect_on_a_sentence(cli: CommandLine, tiny_model: Path) -> None:
    words = ("generate", "--prompt", "a cube", "--model", tiny_model, *FEW)
    outcome = cli(*words, "--noise-aug-strength", 0.5, "-o", "a.mkv")
    assert "warning: --noise-aug-strength has no effect without a picture" in outcome.err
    cli.succeeds(*words, "-o", "b.mkv")
    assert np.array_equal(frames(Path("a.mkv")), frames(Path("b.mkv")))


def sampling_with(cli: CommandLine, model: Path, *choice: object) -> SamplingConfig:
    """How a clip made with these options was sampled, by its own settings."""
    words = ("--prompt", "a cube", "--model", model, "--num-inference-steps", 2, "--num-frames", 1)
    cli.succeeds("generate", *words, *choice, "-o", "a.mkv")
    stored = read_metadata("a.mkv")
    assert stored is not None
    return Request.model_validate(stored["request"]).sampling


@pytest.mark.parametrize("name", get_args(SamplerName))
def test_every_sampler_can_be_chosen(cli: CommandLine, tiny_model: Path, name: SamplerName) -> None:
    assert sampling_with(cli, tiny_model, "--sampler", name).sampler.kind == name


@pytest.mark.parametrize("name", get_args(ScheduleName))
def test_every_schedule_can_be_chosen(cli: CommandLine, tiny_model: Path, name: ScheduleName) -> None:
    chosen = sampling_with(cli, tiny_model, "--schedule", name).schedule
    assert chosen.kind == name
    assert chosen.kind != "sd_discrete" or chosen.spacing == "trailing"  # sampling starts at the noisiest level
    assert name not in ("karras", "exponential") or (chosen.sigma_min, chosen.sigma_max) == (0.1, 5.0)


def test_names_that_other_programs_use(cli: CommandLine, tiny_model: Path, cat: Path) -> None:
    theirs = ("--input-image", cat, "--steps", 1, "--video-frames", 2, "--cond-aug", 0.1, "--frames_per_second", 9)
    cli.succeeds("generate", *theirs, "--model", tiny_model, "-o", "a.mkv")
    stored = read_metadata("a.mkv")
    assert stored is not None
    request = Request.model_validate(stored["request"])
    assert (request.image, request.sampling.num_inference_steps, request.num_frames) == ("cat.png", 1, 2)
    assert (request.noise_aug_strength, request.fps) == (0.1, 9)
    assert "--num-frames is given twice" in cli.refuses("generate", cat, "--num-frames", 3, "--video-frames", 2)


def test_each_of_several_clips_can_be_repeated(
    cli: CommandLine, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sampled together they would differ in the last bits from what repeating one alone gives."""
    together: list[int] = []

    def counted(model: VideoModel, requests: Sequence[Request], **kwargs: Any) -> torch.Tensor:
        together.append(len(requests))
        return generate(model, requests, **kwargs)

    monkeypatch.setattr(generate_module, "generate", counted)
    options = ("--num-videos-per-prompt", 3, "--model", tiny_model, "-o", "clips/", *FEW)
    assert "3 clips in " in cli.succeeds("generate", "--prompt", "a cube", *options)
    for clip in sorted(Path("clips").glob("*.mp4")):
        cli.succeeds("generate", "--from", clip, "-o", "again.mp4")
        assert Path("again.mp4").read_bytes() == clip.read_bytes()
    assert together == [1] * 6


def test_size_that_is_not_square(cli: CommandLine, tiny_model: Path, cat: Path) -> None:
    size = ("--height", 16, "--width", 24, "--num-frames", 2)
    cli.succeeds("generate", cat, "--model", tiny_model, *size, "-o", "wide.mkv")
    assert frames(Path("wide.mkv")).shape == (2, 16, 24, 3)
