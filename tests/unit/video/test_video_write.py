import errno
import json
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from videoldm.core.errors import InputError
from videoldm.video.metadata import sidecar_path
from videoldm.video.pixels import from_uint8, to_uint8
from videoldm.video.read import read_clip
from videoldm.video.write import check_output, write_video

FPS = Fraction(24000, 1001)
EVERY_NAME = ["out.mp4", "out.mkv", "out.gif", "out.webp", "out"]


def _clip(num_frames=8, height=64, width=96):
    """Smooth colours that move."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    frames = [torch.stack([torch.sin(3 * x + i / 3), 0.8 * y, torch.cos(2 * x * y + i / 4)]) for i in range(num_frames)]
    return torch.stack(frames)


def _samples(clip):
    return to_uint8(clip).permute(0, 2, 3, 1).numpy()


def _decode(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def _brightness(samples):
    """What 4:2:0 keeps for each pixel; colours are shared by four."""
    return samples @ np.array([0.299, 0.587, 0.114])


def _psnr(first, second):
    return 10 * np.log10(255**2 / np.mean((np.asarray(first, float) - np.asarray(second, float)) ** 2))


def test_samples_and_pixels_are_inverse():
    samples = torch.arange(256, dtype=torch.uint8)
    pixels = from_uint8(samples)
    assert (pixels[0], pixels[255]) == (-1, 1)
    assert torch.equal(to_uint8(pixels), samples)
    assert to_uint8(torch.tensor([-7.0, 7.0])).tolist() == [0, 255]
    assert to_uint8(torch.tensor([0.999], dtype=torch.bfloat16)).dtype == torch.uint8


def test_mp4_is_h264_that_browsers_play(tmp_path):
    clip = _clip()
    write_video(tmp_path / "out.mp4", clip, FPS)
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.width, context.height) == (96, 64)
        assert stream.average_rate == FPS
        assert stream.frames == 8
        assert stream.start_time == 0
        times = [(frame.pts or 0) * (stream.time_base or 0) for frame in container.decode(stream)]
    assert times == [number / FPS for number in range(8)]
    assert _psnr(_decode(tmp_path / "out.mp4"), _samples(clip)) > 38
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize(("size", "matrix"), [((64, 96), 5), ((576, 1024), 5), ((720, 1280), 1)])
def test_mp4_colours_are_tagged_and_right(tmp_path, size, matrix):
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [200, 120, 40]], np.uint8)
    picture = np.broadcast_to(np.repeat(colours, size[1] // 6 + 1, axis=0)[: size[1]], (*size, 3))
    pixels = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None]
    write_video(tmp_path / "out.mp4", pixels, Fraction(8))
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (
            matrix,
            1,
            1,
            1,
        )
    capture = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    decoded = capture.read()[1][..., ::-1]
    capture.release()
    middles = [(2 * index + 1) * (size[1] // 6 + 1) // 2 for index in range(6)]
    if matrix == 5:  # OpenCV takes every file as BT.601
        assert np.abs(decoded[size[0] // 2, middles].astype(int) - colours).max() <= 8
    decoded = _decode(tmp_path / "out.mp4")[0]
    assert np.abs(decoded[size[0] // 2, middles].astype(int) - colours).max() <= 8


@pytest.mark.parametrize("size", [(63, 95), (64, 95), (1, 1), (2, 2), (17, 64), (64, 64)])
@pytest.mark.parametrize("num_frames", [1, 3])
def test_mp4_of_any_size_and_length(tmp_path, size, num_frames):
    clip = _clip(num_frames, *size)
    write_video(tmp_path / "out.mp4", clip, Fraction(7))
    frames = _decode(tmp_path / "out.mp4")
    assert len(frames) == num_frames
    height, width = size[0] + size[0] % 2, size[1] + size[1] % 2
    assert frames[0].shape == (height, width, 3)
    shown = np.stack(frames)[:, : size[0], : size[1]]
    if min(size) > 2:  # else all pixels share one colour
        assert np.abs(_brightness(shown) - _brightness(_samples(clip))).mean() < 4
    # The added row and column go on as the edge, so that no line shows.
    assert np.abs(_brightness(shown[:, -1]) - _brightness(np.stack(frames)[:, -1, : size[1]])).mean() < 4


def test_mkv_is_lossless(tmp_path):
    samples = torch.randint(0, 256, (5, 3, 37, 53), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    write_video(tmp_path / "out.mkv", samples, Fraction(25))
    assert np.array_equal(_decode(tmp_path / "out.mkv"), samples.permute(0, 2, 3, 1).numpy())
    assert torch.equal(to_uint8(read_clip(tmp_path / "out.mkv", None, 5, Fraction(25))), samples)


@pytest.mark.parametrize(
    ("fps", "total_ms"), [(Fraction(25), 320), (Fraction(30), 270), (FPS, 330), (Fraction(7), 1140)]
)
def test_gif(tmp_path, fps, total_ms):
    clip = _clip()
    write_video(tmp_path / "out.gif", clip, fps)
    with Image.open(tmp_path / "out.gif") as image:
        assert (image.format, image.n_frames, image.info["loop"]) == ("GIF", 8, 0)
        frames, delays = [], []
        for index in range(8):
            image.seek(index)
            frames.append(np.asarray(image.convert("RGB")))
            delays.append(image.info["duration"])
    assert sum(delays) == total_ms
    assert max(delays) - min(delays) <= 10
    assert _psnr(frames, _samples(clip)) > 26


def test_webp(tmp_path):
    clip = _clip()
    write_video(tmp_path / "out.webp", clip, Fraction(30))
    with Image.open(tmp_path / "out.webp") as image:
        assert (image.format, image.n_frames, image.info["loop"]) == ("WEBP", 8, 0)
        frames, delays = [], []
        for index in range(8):
            image.seek(index)
            frames.append(np.asarray(image.convert("RGB")))
            delays.append(image.info["duration"])
    assert sum(delays) == 267
    assert _psnr(frames, _samples(clip)) > 35


def test_frames_are_exact(tmp_path):
    clip = _clip(3)
    write_video(tmp_path / "frames", clip, FPS)
    names = sorted(path.name for path in (tmp_path / "frames").iterdir())
    assert names == ["frame_00000.png", "frame_00001.png", "frame_00002.png"]
    found = [np.asarray(Image.open(tmp_path / "frames" / name)) for name in names]
    assert np.array_equal(found, _samples(clip))
    write_video(tmp_path / "one.png", clip[:1], FPS)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "one.png")), _samples(clip)[0])
    with pytest.raises(InputError, match=r"a \.png holds one frame, not 3"):
        write_video(tmp_path / "three.png", clip, FPS)


def test_folder_of_frames_is_replaced_but_no_other_folder(tmp_path):
    write_video(tmp_path / "frames", _clip(3), FPS)
    write_video(tmp_path / "frames", _clip(2), FPS)
    assert len(list((tmp_path / "frames").iterdir())) == 2
    (tmp_path / "frames" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty"):
        write_video(tmp_path / "frames", _clip(1), FPS)
    assert (tmp_path / "frames" / "notes.txt").read_text() == "mine"
    assert len(list((tmp_path / "frames").iterdir())) == 3


def test_float_and_uint8_give_the_same_file_again_and_again(tmp_path):
    clip = _clip(4)
    files = []
    for index, pixels in enumerate((clip, clip, to_uint8(clip), clip.to(torch.float64), clip * 1.0)):
        write_video(tmp_path / f"{index}.mp4", pixels, FPS, {"seed": 1})
        files.append((tmp_path / f"{index}.mp4").read_bytes())
    assert len(set(files)) == 1
    write_video(tmp_path / "loud.mkv", clip * 3, FPS)  # clamped, not wrapped around
    assert np.array_equal(_decode(tmp_path / "loud.mkv"), _samples((clip * 3).clamp(-1, 1)))


@pytest.mark.parametrize("name", ["out.xyz", "out.avi", "out.mp4.bak"])
def test_unknown_ending(tmp_path, name):
    for use in (
        lambda: write_video(tmp_path / name, _clip(1), FPS),
        lambda: check_output(tmp_path / name, FPS, num_frames=1),
    ):
        with pytest.raises(
            InputError, match=r"unknown extension '.*', it should be one of \.mp4, \.mkv, \.gif, \.webp"
        ):
            use()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fps", [Fraction(0), Fraction(-1), float("nan"), float("inf"), "fast", Fraction(1, 10**9)])
def test_impossible_rates(tmp_path, fps):
    for name in EVERY_NAME:
        with pytest.raises(InputError, match="fps is"):
            write_video(tmp_path / name, _clip(1), fps)
    assert list(tmp_path.iterdir()) == []


def test_rates_that_a_gif_cannot_have(tmp_path):
    write_video(tmp_path / "out.gif", _clip(2), Fraction(50))
    with pytest.raises(InputError, match=r"a \.gif can have at most 50 frames a second, not 60"):
        check_output(tmp_path / "out.gif", Fraction(60), num_frames=1)


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (torch.full((1, 3, 8, 8), torch.nan), "NaN or infinity"),
        (torch.full((1, 3, 8, 8), torch.inf), "NaN or infinity"),
        (torch.zeros(0, 3, 8, 8), "none zero"),
        (torch.zeros(1, 3, 8, 0), "none zero"),
        (torch.zeros(1, 1, 8, 8), r"\(frames, 3, height, width\)"),
    ],
)
def test_pixels_that_are_no_clip(tmp_path, pixels, reason):
    with pytest.raises(InputError, match=reason):
        write_video(tmp_path / "out.mp4", pixels, FPS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", EVERY_NAME)
def test_unwritable_place(tmp_path, name):
    (tmp_path / "file").write_text("a file, no folder")
    with pytest.raises(InputError, match="cannot be written: a parent of it is a file"):
        write_video(tmp_path / "file" / name, _clip(1), FPS, {"seed": 1})
    assert (tmp_path / "file").read_text() == "a file, no folder"


@pytest.mark.parametrize("name", EVERY_NAME)
def test_full_disk_leaves_the_earlier_video(tmp_path, monkeypatch, name):
    path = tmp_path / name
    write_video(path, _clip(2), FPS, {"seed": 1})
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}

    def fail(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(av.container.OutputContainer, "mux", fail) if name.endswith(("mp4", "mkv")) else None
    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(InputError, match="the disk is full"):
        write_video(path, _clip(4), FPS, {"seed": 2})
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_file_size_limit_while_encoding(tmp_path):
    """The operating system's own refusal, in the middle of a file."""
    resource = pytest.importorskip("resource")
    noise = torch.rand(6, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(InputError, match="cannot be written"):
            write_video(tmp_path / "out.mp4", noise, FPS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_settings_lie_beside(tmp_path):
    path = tmp_path / "out.mp4"
    write_video(path, _clip(1), FPS, {"prompt": "caf\u00e9"})
    assert sidecar_path(path) == tmp_path / "out.mp4.json"
    text = sidecar_path(path).read_text(encoding="utf-8")
    assert json.loads(text) == {"videoldm": {"prompt": "caf\u00e9"}}
    assert "caf\u00e9" in text
    write_video(path, _clip(1), FPS)  # without settings: those of the earlier video must not stay
    assert not sidecar_path(path).exists()
    sidecar_path(path).write_text('{"other": "program"}')
    write_video(path, _clip(1), FPS)
    assert sidecar_path(path).exists()


def test_mp4_does_not_depend_on_what_lay_in_memory(tmp_path: Path) -> None:
    """x264's processor-specific code wrote other files of most of these clips the second and third time."""
    rounds = [[_mp4_of_noise(tmp_path, seed) for seed in range(12)] for _ in range(3)]
    assert rounds[1:] == rounds[:1] * 2


def _mp4_of_noise(folder: Path, seed: int) -> bytes:
    noise = torch.rand(14, 3, 96, 96, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    smooth = torch.nn.functional.avg_pool2d(noise, 9, 1, 4)
    dirty_memory = [b"\xff" * num_bytes for num_bytes in range(16, 9000, 48)][::2]
    write_video(folder / "clip.mp4", (4 * smooth).clamp(-1, 1), FPS)
    del dirty_memory
    return (folder / "clip.mp4").read_bytes()
