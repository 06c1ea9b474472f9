import io
import os
import random
import zlib
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageDraw, ImageOps

from videoldm.core.errors import InputError
from videoldm.video.picture import fit_picture, load_object, load_picture
from videoldm.video.pixels import from_uint8, resize


def _picture(height=24, width=36):
    """A picture whose four corners differ."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([y * 255 // height, x * 255 // width, (y + x) * 255 // (height + width)], -1).astype(np.uint8)


def _save(path, picture=None, **options):
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(_picture() if picture is None else picture)
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp", "ppm", "gif", "jpg", "avif"])
def test_formats(tmp_path, suffix):
    options = {"webp": {"lossless": True}, "jpg": {"quality": 98, "subsampling": 0}, "avif": {"quality": 98}}
    path = _save(tmp_path / f"picture.{suffix}", **options.get(suffix, {}))
    found = load_picture(path)
    assert found.dtype == np.uint8
    limit = {"gif": 40, "jpg": 6, "avif": 12}.get(suffix, 0)
    assert np.abs(found.astype(int) - _picture()).max() <= limit


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_exif_orientation(tmp_path, orientation, suffix):
    """What a camera means by each number, written as numpy turns of the stored picture."""
    turns = {
        1: lambda p: p, 2: np.fliplr, 3: lambda p: np.rot90(p, 2), 4: np.flipud,
        5: lambda p: np.fliplr(np.rot90(p, -1)), 6: lambda p: np.rot90(p, -1),
        7: lambda p: np.fliplr(np.rot90(p, 1)), 8: lambda p: np.rot90(p, 1),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"picture.{suffix}"
    lossless = {"jpg": {"quality": 98, "subsampling": 0}, "webp": {"lossless": True}}
    _save(path, exif=exif, **lossless.get(suffix, {}))
    found = load_picture(path)
    expected = turns[orientation](_picture())
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= (6 if suffix == "jpg" else 0)
    if suffix == "jpg":
        assert np.array_equal(found, np.asarray(ImageOps.exif_transpose(Image.open(path))))
        assert np.abs(found.astype(int) - cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)).max() <= 6


def test_broken_exif_does_not_matter(tmp_path):
    path = _save(tmp_path / "picture.jpg", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff garbage", quality=98)
    assert load_picture(path).shape == (24, 36, 3)


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    samples = np.linspace(0, 65535, 24 * 36).astype(np.uint16).reshape(24, 36)
    expected = np.round(samples / 257).astype(int)[..., None].repeat(3, -1)
    cv2.imwrite(str(tmp_path / "grey.png"), samples)
    cv2.imwrite(str(tmp_path / "grey.tiff"), samples)
    cv2.imwrite(str(tmp_path / "colour.png"), samples[..., None].repeat(3, -1))
    for name in ("grey.png", "grey.tiff", "colour.png"):
        found = load_picture(tmp_path / name)
        assert found.shape == (24, 36, 3)
        assert np.abs(found.astype(int) - expected).max() <= 1, name


def test_float_pictures(tmp_path):
    samples = np.linspace(0, 1, 24 * 36, dtype=np.float32).reshape(24, 36)
    path = _save(tmp_path / "float.tiff", Image.fromarray(samples))
    assert np.array_equal(load_picture(path)[..., 0], np.round(samples * 255))
    for bad in (samples * 300, samples - 0.5, samples * np.nan):
        _save(path, Image.fromarray(bad))
        with pytest.raises(InputError, match="samples outside 0 to 1"):
            load_picture(path)


def test_grey_palette_and_one_bit(tmp_path):
    grey = _picture()[..., 0]
    assert np.array_equal(load_picture(_save(tmp_path / "grey.png", grey)), grey[..., None].repeat(3, -1))
    bits = Image.fromarray(grey).convert("1")
    found = load_picture(_save(tmp_path / "bits.png", bits))
    assert np.array_equal(found[..., 0], np.asarray(bits.convert("L")))
    palette = Image.fromarray(_picture()).quantize(64)
    found = load_picture(_save(tmp_path / "palette.png", palette))
    assert np.array_equal(found, np.asarray(palette.convert("RGB")))


def test_transparent_parts_become_white(tmp_path):
    alpha = np.zeros((24, 36), np.uint8)
    alpha[:, 12:24], alpha[:, 24:] = 128, 255
    layered = np.dstack([_picture(), alpha])
    expected = np.round(_picture() * (alpha[..., None] / 255) + 255 * (1 - alpha[..., None] / 255))
    found = load_picture(_save(tmp_path / "rgba.png", layered))
    assert np.abs(found - expected).max() <= 1
    assert (found[:, :12] == 255).all()
    found = load_picture(_save(tmp_path / "la.png", Image.fromarray(layered).convert("LA")))
    assert (found[:, :12] == 255).all()
    assert (
        np.abs(found[:, 24:].astype(int) - np.asarray(Image.fromarray(_picture()).convert("L"))[:, 24:, None]).max()
        == 0
    )
    palette = Image.fromarray(_picture()).quantize(16)
    index = palette.getpixel((0, 0))
    found = load_picture(_save(tmp_path / "palette.png", palette, transparency=index))
    assert (found[np.asarray(palette) == index] == 255).all()


def test_cmyk(tmp_path):
    picture = Image.fromarray(_picture())
    path = _save(tmp_path / "cmyk.jpg", picture.convert("CMYK"), quality=98, subsampling=0)
    assert Image.open(path).mode == "CMYK"
    assert np.abs(load_picture(path).astype(int) - _picture()).mean() < 3


def test_profiles_are_turned_into_srgb(tmp_path):
    """A profile with red and blue swapped must swap them back: the pixels mean what the profile says."""
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = bytearray(srgb)
    red, blue = swapped.index(b"rXYZ"), swapped.index(b"bXYZ")
    swapped[red : red + 4], swapped[blue : blue + 4] = b"bXYZ", b"rXYZ"
    swapped = bytes(swapped).replace("sRGB".encode("utf-16-be"), "abcd".encode("utf-16-be")).replace(b"sRGB", b"abcd")
    found = load_picture(_save(tmp_path / "swapped.png", icc_profile=swapped))
    assert np.abs(found.astype(int) - _picture()[..., ::-1]).max() <= 3
    for number, profile in enumerate((srgb, lab, b"garbage" * 40)):  # the same, one of another kind, none at all
        found = load_picture(_save(tmp_path / f"{number}.png", icc_profile=profile))
        assert np.array_equal(found, _picture())


def test_extreme_shapes(tmp_path):
    assert load_picture(_save(tmp_path / "dot.png", np.full((1, 1, 3), 7, np.uint8))).tolist() == [[[7, 7, 7]]]
    found = load_picture(_save(tmp_path / "line.png", _picture(10, 20000)))
    assert found.shape == (10, 20000, 3)
    assert fit_picture(found, 64, 96).shape == (3, 64, 96)
    assert torch.equal(fit_picture(np.full((1, 1, 3), 255, np.uint8), 64, 96), torch.ones(3, 64, 96))


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moves.gif", save_all=True, append_images=frames[1:])
    assert load_picture(tmp_path / "moves.gif")[0, 0].tolist() == [255, 0, 0]


def _png_header_of(width, height):
    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


BAD_FILES = {
    "missing": (None, "does not exist"),
    "empty": (b"", r"is empty \(0 bytes\)"),
    "text": (b"hello, I am a text\n" * 50, "is not a picture, it should be one of JPEG"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a picture"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" * 9, "is a HEIC picture, .* save it as"),
    "jpeg header alone": (b"\xff\xd8\xff\xe0\0\x10JFIF", "is cut off or broken"),
    "bomb": (_png_header_of(60_000, 60_000), "more than 178 million pixels"),
    "half bomb": (_png_header_of(9_000, 9_000), "is cut off or broken"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_what_is_no_picture_gives_one_line(tmp_path, kind):
    data, reason = BAD_FILES[kind]
    path = tmp_path / "picture.jpg"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InputError, match=reason) as caught:
        load_picture(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folders_and_pipes(tmp_path):
    with pytest.raises(InputError, match="is a folder, it should be a picture"):
        load_picture(tmp_path)
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(InputError, match="is a device or pipe"):
        load_picture(tmp_path / "pipe.jpg")
    for name in ("a\0b.jpg", "x" * 300, ""):
        with pytest.raises(InputError, match=r"does not exist|is a folder|cannot be read"):
            load_picture(name)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff", "gif", "bmp"])
def test_truncated_pictures(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    data = _save(tmp_path / f"whole.{suffix}", noise).read_bytes()
    path = tmp_path / f"cut.{suffix}"
    for part in (0.001, 0.01, 0.3, 0.7):
        path.write_bytes(data[: max(1, int(len(data) * part))])
        with pytest.raises(InputError, match=r"is cut off or broken|is not a picture"):
            load_picture(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff", "gif", "bmp", "avif"])
def test_damaged_pictures_load_or_give_one_line(tmp_path, suffix):
    data = _save(tmp_path / f"whole.{suffix}").read_bytes()
    path, choose = tmp_path / f"damaged.{suffix}", random.Random(suffix)
    for _ in range(25):
        damaged = bytearray(data)
        for _ in range(choose.randint(1, 12)):
            damaged[choose.randrange(min(len(data), 400))] = choose.randrange(256)
        path.write_bytes(damaged)
        try:
            message = f"{load_picture(path).ndim} axes"
        except InputError as error:
            message = str(error)
        assert "\n" not in message


def test_one_line_of_warning_free_work(tmp_path, recwarn):
    buffer = io.BytesIO()
    Image.fromarray(_picture()).save(buffer, format="PNG")
    (tmp_path / "named.jpg").write_bytes(buffer.getvalue())  # a PNG in truth
    assert np.array_equal(load_picture(tmp_path / "named.jpg"), _picture())
    assert not recwarn.list


def test_fit_at_the_same_size_changes_nothing():
    expected = from_uint8(torch.from_numpy(_picture()).permute(2, 0, 1))
    for mode in ("crop", "pad", "stretch"):
        assert torch.equal(fit_picture(_picture(), 24, 36, mode), expected)


@pytest.mark.parametrize(("old", "new"), [((240, 360), (64, 64)), ((100, 400), (64, 96)), ((50, 50), (96, 128))])
def test_crop_keeps_the_middle(old, new):
    """Against a plain crop by hand and the tensor resize."""
    picture = _picture(*old)
    scale = min(Fraction(old[0], new[0]), Fraction(old[1], new[1]))
    height, width = round(new[0] * scale), round(new[1] * scale)
    top, left = (old[0] - height) // 2, (old[1] - width) // 2
    middle = torch.from_numpy(picture[top : top + height, left : left + width]).permute(2, 0, 1)
    expected = resize(from_uint8(middle), *new).clamp(-1, 1)
    found = fit_picture(picture, *new)
    assert found.shape == (3, *new)
    assert (found - expected).abs().mean() < 0.01


def test_pad_shows_all_between_black_bars():
    found = fit_picture(np.full((50, 100, 3), 200, np.uint8), 64, 64, "pad")
    rows = (found > 0).all(dim=0).all(dim=1)
    assert rows.sum() == 32
    assert rows[16:48].all()
    assert (found[:, :16] == -1).all()
    assert (found[:, 48:] == -1).all()
    tall = fit_picture(np.full((100, 50, 3), 200, np.uint8), 64, 64, "pad")
    assert torch.equal(tall, found.transpose(1, 2))
    assert fit_picture(_picture(10, 20000), 64, 64, "pad").shape == (3, 64, 64)


def test_stretch_shows_all_of_it():
    picture = _picture(50, 100)
    found = fit_picture(picture, 64, 64, "stretch")
    expected = resize(from_uint8(torch.from_numpy(picture).permute(2, 0, 1)), 64, 64)
    assert (found - expected).abs().max() < 0.02
    assert found.min() >= -1
    assert found.max() <= 1


@pytest.mark.parametrize(("size", "mode"), [((0, 8), "crop"), ((8, -1), "pad"), ((8, 8), "zoom")])
def test_impossible_fit(size, mode):
    with pytest.raises(InputError, match=r"size is|mode is 'zoom', it should be crop, pad or stretch"):
        fit_picture(_picture(), size[0], size[1], mode)


def made(path: Path, size: tuple[int, int], box: tuple[int, int, int, int]) -> Path:
    image = Image.new("RGBA", size, (10, 200, 10, 0))
    ImageDraw.Draw(image).ellipse(box, fill=(250, 100, 20, 255))
    ImageDraw.Draw(image).rectangle((box[0], box[1], box[0] + 5, box[1] + 5), fill=(0, 0, 255, 100))
    image.save(path)
    return path


def officially(path: Path, size: int) -> np.ndarray:
    """Box of what is not transparent, in the middle of a square as high as the picture, resized, then on white."""
    layer = np.array(Image.open(path))
    rows, columns = np.nonzero(layer[..., 3].any(1))[0], np.nonzero(layer[..., 3].any(0))[0]
    part = layer[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    side, (height, width) = layer.shape[0], part.shape[:2]
    canvas = np.zeros((side, side, 4), np.uint8)
    top, left = side // 2 - height // 2, side // 2 - width // 2
    canvas[top : top + height, left : left + width] = part
    resized = np.array(Image.fromarray(canvas).resize((size, size), Image.Resampling.LANCZOS)) / 255
    return resized[..., :3] * resized[..., 3:] + 1 - resized[..., 3:]


@pytest.mark.parametrize("box", [(2, 30, 41, 90), (60, 5, 118, 30)])
def test_an_object_is_placed_as_officially(tmp_path: Path, box: tuple[int, int, int, int]) -> None:
    path = made(tmp_path / "a.png", (120, 120), box)
    pixels = load_object(path, 64, 64).permute(1, 2, 0).numpy()
    assert np.abs((pixels + 1) / 2 - officially(path, 64)).max() <= 1.01 / 255


def test_an_object_wider_than_the_picture_is_high_fits(tmp_path: Path) -> None:
    pixels = load_object(made(tmp_path / "a.png", (200, 60), (20, 10, 180, 50)), 64, 64)
    coloured = (pixels < 0.9).any(0)
    assert coloured.any(0).sum() >= 62
    assert coloured[:20].sum() == coloured[-20:].sum() == 0


def test_a_picture_without_transparent_parts_is_taken_as_it_is(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), (10, 20, 30)).save(tmp_path / "a.png")
    with pytest.warns(UserWarning, match="has no transparent background, the model knows objects on white"):
        pixels = load_object(tmp_path / "a.png", 16, 16)
    assert ((pixels[:, 3, 3] + 1) * 127.5).round().tolist() == [10, 20, 30]
    with pytest.warns(UserWarning, match="no transparent background"):
        padded = load_object(tmp_path / "a.png", 16, 16, "pad")
    assert padded[:, 0, 0].tolist() == [-1, -1, -1]


def test_a_picture_of_nothing_is_refused(tmp_path: Path) -> None:
    Image.new("RGBA", (40, 30)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: is transparent everywhere, it should show an object"):
        load_object(tmp_path / "a.png", 16, 16)
