"""Videos with known shot changes, planned at random from a seed, rendered and encoded into a folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from real_footage.edits import COLOURS, SHAPES, Edit
from real_footage.looks import Grain, Overlay
from real_footage.scenes import Director, Take
from real_footage.sources import Part, Sources

# Lists of different lengths, so that every setting meets every other.
SIZES = (
    (320, 180), (256, 144), (426, 240), (160, 90), (320, 240), (240, 136), (320, 180), (384, 160), (426, 240),
    (180, 320), (320, 180), (256, 192), (640, 360),
)  # fmt: skip
LARGE = {19: (1280, 720), 41: (1920, 1080), 67: (1280, 720)}
RATES = tuple(
    Fraction(rate)
    for rate in ("25", "24000/1001", "30000/1001", "24", "30", "25", "24000/1001", "25", "50", "30000/1001", "60")
)
QUALITIES = (23, 28, 20, 33, 26, 38, 30)
GROUPS = (250, 48, 12)
GRAINS = (0.0, 2.5, 0.0, 5.0, 1.5)
# Edited with all transitions, edited with cuts only, single long takes.
KINDS = ("mixed", "cuts", "take", "mixed", "cuts", "mixed", "take", "cuts")
LINES = ("Where were you last night?", "I told you already.", "Wait.", "It is not far from here.", "Nobody knows.")
NUM_SHOTS = {"mixed": 11, "cuts": 14}
TAKE_S = 55.0
# A cut must be seen: its change in levels, in contrasts, and in changes between the frames before it.
LEAST_CHANGE, LEAST_CONTRAST, LEAST_OF_MOTION = 1.2, 0.3, 2.0
MOST_TRIES = 120
PART_KEYS = {"tune": 1, "test": 2}


@dataclass(frozen=True)
class Event:
    """Something between or in shots: the first frame that it changes, the first after those, and what is special."""

    kind: str
    first: int
    end: int
    words: str


@dataclass(frozen=True)
class TrueVideo:
    """A file, and all that happens in it; `lights` are not shot changes."""

    path: Path
    kind: str
    words: str
    num_frames: int
    rate: Fraction
    events: tuple[Event, ...]
    lights: tuple[Event, ...]
    shots: tuple[Event, ...]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return float(self.num_frames / self.rate)


@dataclass(frozen=True)
class Piece:
    """A take, for how many frames it is alone, and the edit that leads to the next."""

    take: Take
    num_frames: int
    edit: Edit


def make_video(
    folder: Path, sources: Sources, part: Part, seed: int, index: int, *, moves: Sequence[str] = ()
) -> TrueVideo:
    """Video `index` of a seed, with some moves of the camera only; what is in the folder already is not made again."""
    path = folder / f"{part}_{seed}_{index:03d}.mp4"
    note = path.with_suffix(".json")
    if not note.exists():
        random = np.random.default_rng([seed, PART_KEYS[part], index])
        video = _rendered(path, random, sources, index, moves)
        stored = asdict(video) | {"path": path.name, "rate": str(video.rate)}
        note.write_text(json.dumps(stored, indent=1))
    return read_video(note)


def read_video(note: Path) -> TrueVideo:
    """A video from its labels."""
    stored = json.loads(note.read_text())
    events = {key: tuple(Event(**one) for one in stored[key]) for key in ("events", "lights", "shots")}
    return TrueVideo(**stored | events | {"path": note.parent / stored["path"], "rate": Fraction(stored["rate"])})


def _rendered(path: Path, random: np.random.Generator, sources: Sources, index: int, moves: Sequence[str]) -> TrueVideo:
    kind = KINDS[index % len(KINDS)]
    size = LARGE.get(index, SIZES[index % len(SIZES)])
    rate = RATES[(index + index // len(SIZES)) % len(RATES)] if index not in LARGE else Fraction(25)
    quality, grain = QUALITIES[index % len(QUALITIES)], GRAINS[index % len(GRAINS)]
    director = Director(random, sources, size, float(1 / rate), moves)
    length = 0.35 if index in LARGE else 1.0
    pieces = _take_plan(director, index, length) if kind == "take" else _edited_plan(director, kind, length)
    num_frames = sum(piece.num_frames + piece.edit.num_frames for piece in pieces)
    overlay = _overlay(random, num_frames)
    frames = _frames(pieces, Grain(random, grain, size), overlay, director.frame_s)
    preset = "superfast" if index % 3 else "ultrafast"
    options = {"preset": preset, "crf": str(quality), "g": str(GROUPS[index % len(GROUPS)]), "bf": str(index % 2 * 2)}
    _encode(path, frames, size, rate, options)
    words = f"{kind}, {size[0]}x{size[1]}, {float(rate):.5g} fps, crf {quality}, grain {grain:g}"
    return TrueVideo(path, kind, words, num_frames, rate, *_labels(pieces))


def _edited_plan(director: Director, kind: str, length: float) -> list[Piece]:
    random, pieces = director.random, list[Piece]()
    # A pair of scenes to and fro now and then, as in a talk, and others between.
    duration_s = _duration(random)
    take = director.any_take(duration_s)
    for number in range(max(4, round(NUM_SHOTS[kind] * length))):
        num_frames = max(6, round(duration_s / director.frame_s))
        is_gradual = kind == "mixed" and random.random() < 0.5
        edit = _gradual(random, director.frame_s) if is_gradual else Edit("cut", 0)
        duration_s = max(_duration(random), 1.0) if is_gradual else _duration(random)
        following, edit = _following(director, take, num_frames, edit, duration_s)
        if number == round(NUM_SHOTS[kind] * length) - 1:
            edit = Edit("cut", 0)
        pieces.append(Piece(take, num_frames, edit))
        take = following
    return pieces


def _take_plan(director: Director, index: int, length: float) -> list[Piece]:
    moves = [move for move in director.moves if move != "whip"]
    duration_s = TAKE_S * length
    take = director.any_take(duration_s, moves[index // len(KINDS) * 2 % len(moves)] if index % 3 else "")
    return [Piece(take, round(duration_s / director.frame_s), Edit("cut", 0))]


def _following(director: Director, take: Take, num_frames: int, edit: Edit, duration_s: float) -> tuple[Take, Edit]:
    """The next take, such that the change from this one to it can be seen, and the edit with what is special.

    If no take will do, as after black by a fade through black, the edit becomes a cut.
    """
    random = director.random
    before = [_shown(take, number, director.frame_s) for number in (num_frames - 2, num_frames - 1)]
    least = max(LEAST_CHANGE, LEAST_OF_MOTION * visible_change(*before))
    tries = 0
    while True:
        tries += 1
        edit = edit if tries < MOST_TRIES else Edit("cut", 0)
        chance = random.random()
        if edit.kind == "cut" and chance < 0.15:
            following, words = director.later(take, num_frames * director.frame_s + random.uniform(0.7, 4)), "jump"
        elif edit.kind == "cut" and chance < 0.5:
            is_dark = random.random() < 0.35
            following = director.other_angle(take, duration_s, is_dark=is_dark and take.look.gain < 0.5)
            words = "alike, dark" if following.look.gain < 0.36 else "alike"
        else:
            following = director.any_take(duration_s)
            words = "dark" if max(take.look.gain, following.look.gain) < 0.36 else "other"
        after = _shown(following, 0, director.frame_s)
        change = visible_change(before[1], after)
        if edit.kind == "cut" and change >= max(
            least, LEAST_CONTRAST * min(_coarse(before[1]).std(), _coarse(after).std())
        ):
            return following, replace(edit, words=words)
        if edit.kind != "cut" and change >= 4 and _is_gradual_seen(edit, before[1], after):
            is_dark = edit.kind == "dissolve" and words == "dark"
            return following, replace(edit, words=f"{edit.style}, dark" if is_dark else edit.style)
        least = max(LEAST_CHANGE, least * 0.98)


def visible_change(before: np.ndarray, after: np.ndarray) -> float:
    """Mean difference in levels that neither a small movement of the camera nor another exposure explains."""
    old, new = _coarse(before), _coarse(after)
    new = (new - new.mean()) * (old.std() + 0.5) / (new.std() + 0.5) + old.mean()
    inner = new[4:-4, 6:-6]
    shifted = (old[4 + down : 32 + down, 6 + across : 58 + across] for down in range(-4, 5) for across in range(-6, 7))
    return min(float(np.abs(inner - one).mean()) for one in shifted)


def _coarse(frame: np.ndarray) -> np.ndarray:
    small = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), (64, 36), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small.astype(np.float32), (0, 0), 1.2)


def _is_gradual_seen(edit: Edit, before: np.ndarray, after: np.ndarray) -> bool:
    if edit.kind == "fade":
        colour = np.full_like(before, COLOURS[edit.style])
        return min(_difference(before, colour), _difference(after, colour)) >= 12
    return _difference(before, after) >= 8


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(cv2.absdiff(one, other).mean())


def _gradual(random: np.random.Generator, frame_s: float) -> Edit:
    kind = str(random.choice(["dissolve", "wipe", "fade"], p=[0.55, 0.22, 0.23]))
    shortest, longest = {"dissolve": (0.2, 3.0), "wipe": (0.3, 1.5), "fade": (0.4, 2.5)}[kind]
    seconds = float(np.exp(random.uniform(np.log(shortest), np.log(longest))))
    styles = {"dissolve": ("linear", "linear", "eased", "film"), "wipe": SHAPES, "fade": ("black", "black", *COLOURS)}[
        kind
    ]
    return Edit(kind, max(4, round(seconds / frame_s)), str(random.choice(styles)))  # pyright: ignore[reportArgumentType]


def _duration(random: np.random.Generator) -> float:
    return random.uniform(0.45, 0.9) if random.random() < 0.1 else random.uniform(1.2, 4.5)


def _overlay(random: np.random.Generator, num_frames: int) -> Overlay:
    subtitles: list[tuple[int, int, str]] = []
    if random.random() < 0.2:
        at = 20
        while at < num_frames:
            length = int(random.integers(25, 80))
            subtitles.append((at, at + length, str(random.choice(LINES))))
            at += length + int(random.integers(0, 60))
    bars = float(random.uniform(0.05, 0.14)) if random.random() < 0.15 else 0.0
    return Overlay(bars, bool(random.random() < 0.15), tuple(subtitles))


def _shown(take: Take, number: int, frame_s: float) -> np.ndarray:
    time_s = number * frame_s
    shown = take.look.applied(take.shot.frame(time_s, number), time_s)
    for light in take.lights:
        shown = light.applied(shown, number)
    return shown


def _frames(pieces: list[Piece], grain: Grain, overlay: Overlay, frame_s: float) -> Iterator[np.ndarray]:
    count = skipped = 0
    for piece, following in zip(pieces, [*pieces[1:], None], strict=True):
        for number in range(piece.num_frames):
            yield overlay.applied(grain.applied(_shown(piece.take, skipped + number, frame_s)), count)
            count += 1
        for number in range(piece.edit.num_frames):
            assert following
            old = _shown(piece.take, skipped + piece.num_frames + number, frame_s)
            mixed = piece.edit.mixed(old, _shown(following.take, number, frame_s), number)
            yield overlay.applied(grain.applied(mixed), count)
            count += 1
        skipped = piece.edit.num_frames


def _labels(pieces: list[Piece]) -> tuple[tuple[Event, ...], tuple[Event, ...], tuple[Event, ...]]:
    events, lights, shots = list[Event](), list[Event](), list[Event]()
    at = skipped = 0
    for number, piece in enumerate(pieces):
        end = at + piece.num_frames
        start = at - skipped
        lights += [
            Event(
                light.kind, start + light.first, min(start + light.end, end + piece.edit.num_frames), piece.take.words
            )
            for light in piece.take.lights
            if start + light.first < end
        ]
        shots.append(Event("shot", start, end + piece.edit.num_frames, piece.take.words))
        if number < len(pieces) - 1:
            events.append(Event(piece.edit.kind, end, end + piece.edit.num_frames, piece.edit.words))
        at, skipped = end + piece.edit.num_frames, piece.edit.num_frames
    return tuple(events), tuple(lights), tuple(shots)


def _encode(
    path: Path, frames: Iterator[np.ndarray], size: tuple[int, int], rate: Fraction, options: dict[str, str]
) -> None:
    partial = path.with_name(f"{path.stem}.{os.getpid()}.part.mp4")
    with av.open(str(partial), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.thread_count = 1
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="bgr24")))
        container.mux(stream.encode(None))
    partial.rename(path)
