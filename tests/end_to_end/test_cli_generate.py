"""`videoldm generate` from the words to the files, with a tiny model."""

import errno
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import av
import numpy as np
import pytest
import torch
from command_line import CommandLine
from odd_pictures import noise, write_bad, write_good, write_one
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_model_folder import NUM_FRAMES, SIZE, STEPS

from videoldm.core.errors import InputError
from videoldm.diffusion.config import SamplerName, ScheduleName
from videoldm.tasks import generate as generate_module
from videoldm.tasks import model as model_module
from videoldm.tasks.config import SamplingConfig
from videoldm.tasks.generate import generate, make_clip
from videoldm.tasks.model import VideoModel, load_model
from videoldm.tasks.request import Request
from videoldm.video.metadata import read_metadata
from videoldm.video.probe import probe
from videoldm.video.read import read_frames

FEW = ("--num-inference-steps", 1, "--num-frames", 1)


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a model fails the test: what is wrong should have been found before."""

    def fail(*args: object, **kwargs: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(model_module, "load_model", fail)


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    return write_one(tmp_path / "cat.png").relative_to(tmp_path)


def frames(path: Path) -> np.ndarray:
    if path.is_dir():
        return np.stack([np.asarray(Image.open(file)) for file in sorted(path.glob("*.png"))])
    return np.stack([frame.pixels for frame in read_frames(path)])


# What works.


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


def test_size_that_no_latent_has_is_refused_from_python(tiny_model: Path) -> None:
    with pytest.raises(InputError, match="width is 12, it should be a multiple of 8, for example 16"):
        make_clip(load_model(str(tiny_model), "text-to-video"), prompt="a red cube", width=12)


# What is refused, before a model is loaded.


def test_bad_pictures(cli: CommandLine, tiny_model: Path, no_model: None) -> None:
    bad = write_bad(cli.folder / "in")
    bad["missing.jpg"] = "does not exist, it should be a picture or a folder of pictures"
    for name, reason in bad.items():
        line = cli.refuses("generate", f"in/{name}", "--model", tiny_model)
        assert line.startswith(f"in/{name}: {reason}"), line


def test_folder_of_bad_pictures_only(cli: CommandLine, tiny_model: Path, no_model: None) -> None:
    bad = write_bad(cli.folder / "in")
    outcome = cli("generate", "in", "--model", tiny_model, "--json")
    assert (outcome.code, outcome.out) == (2, "")
    assert len(outcome.err.splitlines()) == len(bad)
    assert sorted(cli.content()) == sorted(["in", *(f"in/{name}" for name in bad)])


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "nothing to make a clip from: give a picture, or a sentence with --prompt"),
        (("cat.png", "--prompt", "a cube"), "a picture (cat.png) and --prompt 'a cube' exclude each other"),
        (("--prompt", " "), "--prompt is ' ', it should say what the clip shows"),
        (("cat.png", "--height", 17), "--height is 17, it should be a multiple of 8, for example 16"),
        (("cat.png", "--width", 1), "--width is 1, it should be a multiple of 8, for example 8"),
        (("cat.png", "-o", "cat.png", "--num-frames", 1), "cat.png: is the input, give the output another name"),
        (("cat.png", "-o", "x.avi"), "x.avi: unknown ending '.avi'"),
        (("cat.png", "-o", "cat.png/x.mp4"), "/cat.png/x.mp4: cannot be written: a parent of it is a file"),
        (("cat.png", "-o", "x.mp4", "--num-videos-per-prompt", 2), "x.mp4: is the name of one file, several clips"),
        (("cat.png", "-o", "x.gif", "--output-fps", 60), "a .gif can have at most 50 frames a second, not 60"),
        (("cat.png", "--contact-sheet", "x.jpg"), "--contact-sheet is 'x.jpg', its name should end in .png"),
        (("cat.png", "--contact-sheet", "cat.png"), "--contact-sheet is 'cat.png', which is an input or an output"),
        (("cat.png", "--device", "tpu"), "--device is 'tpu', on this machine it should be cpu"),
        (("cat.png", "--device", "cuda:99"), "--device is 'cuda:99', on this machine it should be cpu"),
        (
            ("cat.png", "--num-frames", 9999, "--height", 16000, "--width", 16000),
            "9999 frames of 16000x16000 need at least",
        ),
        (
            ("cat.png", "--seed", 2**63 - 1, "--num-videos-per-prompt", 2),
            f"--seed is {2**63 - 1}, the seed of the last clip should be at most {2**63 - 1}",
        ),
        (("cat.png", "--num-videos-per-prompt", 0), "generate: --num-videos-per-prompt is '0', should be greater"),
        (("cat.png", "--model", "maxi"), "model 'maxi' is neither shipped"),
        (("cat.png", "--model", "."), "model . is no model folder: it has no autoencoder/config.json"),
        (("cat.png", "--fps", "fast"), "generate: --fps is 'fast', should be a valid number"),
        (("cat.png", "--guidance", 3), "generate: --guidance is no option, did you mean --guidance-scale or "),
        ((".git",), ".git: does not exist"),
        (("empty",), "empty: is a folder without pictures"),
        (("--from", "cat.png"), "cat.png: holds no settings, it should be a clip that videoldm made"),
        (("--from", "nothing.mp4"), "nothing.mp4: does not exist"),
        (("--from", "cat.png", "--seed", 3), "--seed cannot be changed beside --from, which repeats a clip exactly"),
    ],
)
@pytest.mark.usefixtures("no_model", "cat")
def test_words_that_cannot_work(cli: CommandLine, tiny_model: Path, words: tuple[object, ...], line: str) -> None:
    Path("empty").mkdir()
    model = () if "--model" in words or "--from" in words else ("--model", tiny_model)
    message = cli.refuses("generate", *words, *model)
    assert line in message
    assert message.startswith(line) or line.startswith("/")  # an output is named by its full path


def test_model_that_cannot_do_the_task(cli: CommandLine, tiny_model: Path, cat: Path, no_model: None) -> None:
    half = cli.folder / "half"
    half.mkdir()
    for part in ("autoencoder", "text_encoder", "text-to-video"):
        (half / part).symlink_to(tiny_model / part)
    line = cli.refuses("generate", cat, "--model", "half")
    assert line == "model half cannot do image-to-video, it can do text-to-video"
    (half / "image-to-video").mkdir()
    (half / "image-to-video" / "model.json").write_text('{"task": "image-to-video", "num_frame": 3}')
    assert "half/image-to-video/model.json: num_frame is no known key, did you mean num_frames?" in cli(
        "generate", cat, "--model", "half"
    ).err  # fmt: skip


def test_settings_that_do_not_fit(cli: CommandLine, tiny_model: Path, cat: Path) -> None:
    cli.succeeds("generate", cat, "--model", tiny_model, "-o", "a.webp", *FEW)
    Image.fromarray(noise(9, 9)).save("other.png")
    line = cli.refuses("generate", "other.png", "--from", "a.webp", "-o", "b.webp")
    assert line == "other.png: is not the picture that the settings were made with, its content differs"
    settings = json.loads(Path("a.webp.json").read_text())
    settings["videoldm"]["versions"] |= {"torch": "1.0", "not_here": "1.0"}
    Path("old.json").write_text(json.dumps(settings))
    outcome = cli("generate", "--from", "old.json", "-o", "b.gif")
    assert outcome.code == 0
    assert outcome.err.startswith("warning: made with torch 1.0, this is ")
    assert outcome.err.count("\n") == 1
    Path("cat.png").rename("gone.png")
    line = cli.refuses("generate", "--from", "a.webp", "-o", "b.webp")
    assert line == "a.webp was made from cat.png, which is not here: give the picture beside --from"
    settings["videoldm"]["request"]["num_frames"] = 0
    Path("bad.json").write_text(json.dumps(settings))
    line = cli.refuses("generate", "--from", "bad.json", "-o", "b.webp")
    assert line == "bad.json: request.num_frames is 0, should be greater than or equal to 1"


def test_other_weights_cannot_repeat_a_clip(cli: CommandLine, tiny_model: Path) -> None:
    shutil.copytree(tiny_model, "mine")
    cli.succeeds("generate", "--prompt", "a cube", "--model", "mine", "-o", "a.mkv", *FEW)
    weights = Path("mine/text-to-video/unet/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    line = cli.refuses("generate", "--from", "a.mkv", "-o", "b.mkv")
    assert line.startswith("a.mkv was made by other weights than model mine has now: give the folder of the model")
    cli.succeeds("generate", "--from", "a.mkv", "--model", tiny_model, "-o", "b.mkv")
    assert np.array_equal(frames(Path("a.mkv")), frames(Path("b.mkv")))


@pytest.mark.parametrize("part", ["text-to-video/unet", "text_encoder", "autoencoder"])
def test_broken_weights_are_told(cli: CommandLine, tiny_model: Path, part: str) -> None:
    shutil.copytree(tiny_model, "mine")
    weights = Path("mine", part, "model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-100])
    line = cli.refuses("generate", "--prompt", "a cube", "--model", "mine", *FEW)
    assert line.startswith(f"mine/{part}/model.safetensors: cannot be read as safetensors")
    weights.unlink()
    assert f"mine/{part}" in cli.refuses("generate", "--prompt", "a cube", "--model", "mine", *FEW)


def test_gap_in_an_encoder_is_told(cli: CommandLine, tiny_model: Path) -> None:
    """transformers would fill it with random numbers."""
    shutil.copytree(tiny_model, "mine")
    path = Path("mine/text_encoder/model.safetensors")
    tensors = load_file(path)
    del tensors[next(name for name in tensors if name.endswith("fc1.weight"))]
    save_file(tensors, path, metadata={"format": "pt"})
    line = cli.refuses("generate", "--prompt", "a cube", "--model", "mine", *FEW)
    assert line.startswith("mine/text_encoder: its weights lack ")
    assert "fc1.weight" in line


def test_what_is_left_over_in_an_encoder_is_told(cli: CommandLine, tiny_model: Path) -> None:
    shutil.copytree(tiny_model, "mine")
    path = Path("mine/text_encoder/model.safetensors")
    save_file(load_file(path) | {"adapter.weight": torch.zeros(2)}, path, metadata={"format": "pt"})
    line = cli.refuses("generate", "--prompt", "a cube", "--model", "mine", *FEW)
    assert line == "mine/text_encoder: its weights hold adapter.weight (1 in all), which no CLIPTextModel has"


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


def test_unknown_schedule_is_told(cli: CommandLine, tiny_model: Path) -> None:
    line = cli.refuses("generate", "--prompt", "a cube", "--model", tiny_model, "--schedule", "linear")
    assert line.startswith("generate: --schedule is 'linear', should be 'karras', 'exponential', ")


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


# What goes wrong later.


def test_full_disk_leaves_nothing_half_written(
    cli: CommandLine, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(av.container.OutputContainer, "mux", fail)
    line = cli.refuses("generate", "--prompt", "a cube", "--model", tiny_model, "-o", "new/a.mp4", *FEW)
    assert line.endswith("new/a.mp4: cannot be written: the disk is full")


def test_failure_that_is_not_the_pictures_ends_a_folder(
    cli: CommandLine, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (cli.folder / "in").mkdir(exist_ok=True)
        write_one(cli.folder / "in" / f"{name}.png")
    calls: list[str] = []

    def fail_second(model: object, requests: list, **kwargs: object) -> torch.Tensor:
        calls.append(requests[0].image)
        if len(calls) == 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return torch.zeros(1, 1, 3, 16, 16)

    monkeypatch.setattr(generate_module, "generate", fail_second)
    outcome = cli("generate", "in", "--model", tiny_model, "-o", "out", *FEW)
    assert outcome.code == 1
    assert outcome.err.splitlines() == [
        "2 of 3 items failed:",
        "  in/b.png: memory is too small for 1 frames of 16x16: ask for fewer or smaller ones",
        "  in/c.png: not tried after that",
    ]
    assert outcome.out.startswith("out/a-23.mp4")
    assert calls == ["in/a.png", "in/b.png"]


def test_failure_after_bad_pictures_lists_both(
    cli: CommandLine, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("in").mkdir()
    Path("in/a.png").write_text("no picture")
    write_one(cli.folder / "in" / "b.png")

    def fail(*args: object, **kwargs: object) -> None:
        raise MemoryError

    monkeypatch.setattr(generate_module, "generate", fail)
    outcome = cli("generate", "in", "--model", tiny_model, "-o", "out", *FEW)
    assert (outcome.code, outcome.out) == (2, "")
    first, second = outcome.err.splitlines()
    assert first.startswith("error: in/a.png: ")
    assert second == "in/b.png: memory is too small for 1 frames of 16x16: ask for fewer or smaller ones"


def test_interrupt_keeps_what_is_done(cli: CommandLine, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cli.folder / "in").mkdir()
    for name in "ab":
        write_one(cli.folder / "in" / f"{name}.png")

    def stop_at_b(model: object, requests: list, **kwargs: object) -> torch.Tensor:
        if requests[0].image == "in/b.png":
            raise KeyboardInterrupt
        return generate(model, requests, **kwargs)

    monkeypatch.setattr(generate_module, "generate", stop_at_b)
    outcome = cli("generate", "in", "--model", tiny_model, "-o", "out", *FEW)
    assert (outcome.code, outcome.err) == (130, "interrupted\n")
    assert outcome.out.startswith("out/a-23.mp4")
    assert sorted(path.name for path in Path("out").iterdir()) == ["a-23.mp4", "a-23.mp4.json"]
