"""Real pictures in training: random crops of them, and clips of a camera that pans and zooms over them."""

from __future__ import annotations

import functools
import math
import random
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from videoldm.core.errors import InputError
from videoldm.core.random import python_random
from videoldm.core.reading import files_hash
from videoldm.dataset.clips import ClipRecord, ClipShards, to_pixels, to_stored, write_shard
from videoldm.measures.temporal import mean_motion
from videoldm.training.data.config import CLIPS_PER_SHARD, PannedPictures, WorldData
from videoldm.training.data.world import made_once, prepare_world
from videoldm.video.picture import load_picture
from videoldm.video.picture_files import pictures_in
from videoldm.video.pixels import resize

MARGIN = 1.125
"""Short side of a shrunken picture over that of a crop, at least."""
LARGEST_ZOOM = 1.5
"""Largest size of the camera's view, in pixels of the picture for one of the frame; the smallest is 1."""
PATHS_VERSION = 2
"""Version of the camera's paths and of the colours, to be raised when they change: older clips are not used then."""
MAX_SPEED = 0.35
"""Highest speed of the view's centre, in short sides of the frame per second."""

PictureScales = list[list[Tensor]]
"""Versions of each picture, c x h x w in [-1, 1], largest first."""


class PictureCrops:
    """Crops at random scales between the whole picture and about its native resolution."""

    def __init__(self, folder: str, *, size: tuple[int, int]) -> None:
        self._height, self._width = size
        self._scales = picture_scales(Path(folder), math.ceil(MARGIN * max(size))) if folder else []

    def crop(self, choice: random.Random) -> Float[Tensor, "c h w"]:
        """Draw one crop: its picture, scale and place, how it is turned and mirrored, and the order of its colours.

        There are few pictures, and colours in another order, seen sideways, are as good as others.
        """
        picture = choice.choice(choice.choice(self._scales))
        top = choice.randint(0, picture.shape[1] - self._height)
        left = choice.randint(0, picture.shape[2] - self._width)
        crop = picture[:, top : top + self._height, left : left + self._width]
        turned = crop.rot90(choice.randrange(4), (1, 2)) if self._height == self._width else crop
        mirrored = turned.flip(-1) if choice.random() < 0.5 else turned
        return mirrored[choice.sample(range(3), 3)]


def picture_scales(folder: Path, smallest: int) -> PictureScales:
    """Load each picture of `folder` at every half-octave from its own size to a short side of about `smallest` pixels.

    Raises InputError if there are none or one of them is smaller.
    """
    return [_shrunken(_loaded(path, smallest), smallest) for path in pictures_in(folder)]


def _loaded(path: Path, smallest: int) -> Float[Tensor, "c h w"]:
    picture = to_pixels(torch.from_numpy(load_picture(path)))
    if min(picture.shape[1:]) < smallest:
        height, width = picture.shape[1:]
        raise InputError(f"{path} has {width}x{height} pixels, both sides should be at least {smallest}")
    return picture


def _shrunken(picture: Float[Tensor, "c h w"], smallest: int) -> list[Tensor]:
    scales = []
    short_side = min(picture.shape[1:])
    while short_side >= smallest:
        factor = short_side / min(picture.shape[1:])
        size = (round(picture.shape[1] * factor), round(picture.shape[2] * factor))
        scales.append(resize(picture, *size))
        short_side = int(short_side / 2**0.5)
    return scales


@dataclass(frozen=True)
class _View:
    """Part of a picture that a frame shows: centre and size in pixels of the picture."""

    y: float
    x: float
    zoom: float
    """Pixels of the picture for one of the frame."""


def world_and_pictures(world: WorldData, pictures: PannedPictures | None, cache: Path) -> ClipShards:
    """Make what `cache` lacks of clips of the world and, if there are pictures, over them; open all of them.

    Raises InputError if the folder holds no pictures or one that is too small.
    """
    # Pictures first: what is wrong with them shows before the world is rendered.
    panned = pictures and prepare_panned_pictures(pictures, world, cache)
    rendered = prepare_world(world, cache)
    return ClipShards(rendered.paths + panned.paths) if panned else rendered


def prepare_panned_pictures(pictures: PannedPictures, like: WorldData, cache: Path) -> ClipShards:
    """Make the clips that `cache` lacks, with the size, length and rates of `like`, and open them.

    Raises InputError if the folder holds no pictures or one that is too small.
    """
    smallest = math.ceil(LARGEST_ZOOM * max(like.height, like.width))

    @functools.cache
    def scales() -> PictureScales:
        return picture_scales(Path(pictures.folder), smallest)

    return made_once(
        cache / f"pictures-{_key(pictures, like)}",
        pictures.num_clips,
        "Panning over pictures",
        lambda start, path: _write_clips(scales(), like, start, path),
    )


def _key(pictures: PannedPictures, like: WorldData) -> str:
    content = files_hash(Path(pictures.folder), pictures_in(Path(pictures.folder)))
    shape = like.model_dump_json(include={"seed", "split", "num_frames", "height", "width", "rates"})
    return blake2b(f"{PATHS_VERSION} {content} {shape}".encode(), digest_size=8).hexdigest()


def _write_clips(scales: PictureScales, like: WorldData, start: int, path: Path) -> None:
    fps = like.rates[start // CLIPS_PER_SHARD % len(like.rates)]
    size = (like.height, like.width)
    frames, records = [], []
    for index in range(start, start + CLIPS_PER_SHARD):
        choice = python_random(like.seed, f"{like.split} panned picture", index)
        picture = choice.choice(choice.choice(scales))
        views = _path(choice, picture, size, seconds=float((like.num_frames - 1) / fps), steps=like.num_frames)
        positions = torch.stack([_positions(view, size) for view in views])
        frames.append(to_stored(_look_up(picture, positions)[:, choice.sample(range(3), 3)]))
        motion = float(mean_motion(_flow(views, positions), fps))
        records.append(ClipRecord(caption="", image_caption="", fps=fps, motion=motion))
    write_shard(path, torch.stack(frames), records)


def _path(choice: random.Random, picture: Tensor, size: tuple[int, int], *, seconds: float, steps: int) -> list[_View]:
    """Return views from one place to another; those between lie within the picture because both ends do."""
    distance = choice.random() * MAX_SPEED * seconds * min(size)
    direction = choice.uniform(0, 2 * math.pi)
    start_zoom, end_zoom = (choice.uniform(1, LARGEST_ZOOM) for _ in range(2))
    if choice.random() < 0.5:
        end_zoom = start_zoom
    start = _within(picture, size, choice.random() * picture.shape[1], choice.random() * picture.shape[2], start_zoom)
    end_y = start.y + distance * start_zoom * math.sin(direction)
    end_x = start.x + distance * start_zoom * math.cos(direction)
    end = _within(picture, size, end_y, end_x, end_zoom)
    return [_between(start, end, step / (steps - 1)) for step in range(steps)]


def _within(picture: Tensor, size: tuple[int, int], y: float, x: float, zoom: float) -> _View:
    """Return the view of this zoom nearest to (y, x) that does not leave the picture."""
    half_height, half_width = zoom * size[0] / 2, zoom * size[1] / 2
    return _View(
        y=min(max(y, half_height), picture.shape[1] - half_height),
        x=min(max(x, half_width), picture.shape[2] - half_width),
        zoom=zoom,
    )


def _between(start: _View, end: _View, share: float) -> _View:
    return _View(
        y=start.y + share * (end.y - start.y),
        x=start.x + share * (end.x - start.x),
        zoom=start.zoom ** (1 - share) * end.zoom**share,
    )


def _positions(view: _View, size: tuple[int, int]) -> Float[Tensor, "h w 2"]:
    """Place of each pixel of the frame in the picture, (x, y) in its pixels."""
    ys = view.y + view.zoom * (torch.arange(size[0]) + 0.5 - size[0] / 2)
    xs = view.x + view.zoom * (torch.arange(size[1]) + 0.5 - size[1] / 2)
    return torch.stack(torch.meshgrid(xs, ys, indexing="xy"), dim=-1)


def _look_up(picture: Float[Tensor, "c height width"], positions: Float[Tensor, "t h w 2"]) -> Float[Tensor, "t c h w"]:
    extent = torch.tensor([picture.shape[2], picture.shape[1]])
    grid = (2 * positions / extent - 1).flatten(0, 1)
    frames = functional.grid_sample(
        picture[None], grid[None], mode="bicubic", padding_mode="border", align_corners=False
    )
    return frames[0].unflatten(1, positions.shape[:2]).movedim(1, 0)


def _flow(views: list[_View], positions: Float[Tensor, "t h w 2"]) -> Float[Tensor, "s 2 h w"]:
    """Displacement of what each pixel shows until the next frame, in pixels of the frame."""
    flows = []
    for now, then, places in zip(views[:-1], views[1:], positions[:-1], strict=True):
        seen_now = (places - torch.tensor([now.x, now.y])) / now.zoom
        seen_then = (places - torch.tensor([then.x, then.y])) / then.zoom
        flows.append((seen_then - seen_now).permute(2, 0, 1))
    return torch.stack(flows)
