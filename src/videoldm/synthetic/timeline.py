"""Plans of long videos: shots, transitions, text and static spans; torch-free."""

import dataclasses
import itertools
import math
import random
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

from pydantic import Field, PositiveInt, model_validator

from videoldm.core.config import Config
from videoldm.core.random import python_random
from videoldm.synthetic.config import WorldOptions
from videoldm.synthetic.elements import NOMINAL_S, Scene
from videoldm.synthetic.overlay import TextBox, place_text
from videoldm.synthetic.scene import sample_scene
from videoldm.synthetic.vocabulary import Rgb, Split

TransitionKind = Literal["cut", "fade", "dissolve", "flash"]
TRANSITION_KINDS: tuple[TransitionKind, ...] = get_args(TransitionKind)

PHRASES = (
    "breaking news",
    "Chapter 7",
    "subscribe now",
    "LIVE 21:45",
    "to be continued",
    "Part two: the sea",
    "www.example.org",
    "THE END",
    "sample text 1234",
    "Once upon a time",
)
INKS: tuple[Rgb, ...] = ((1.0, 1.0, 1.0), (1.0, 0.95, 0.3), (0.05, 0.05, 0.05))


class LongVideoOptions(Config):
    """Distribution of long videos; `transitions` are relative weights, lengths with `_s` in seconds."""

    num_shots: PositiveInt = 6
    fps: Fraction = Field(default=Fraction(25), gt=0)
    height: int = Field(default=144, ge=32)
    width: int = Field(default=256, ge=32)
    supersampling: PositiveInt = 1
    shortest_shot_s: float = Field(default=1.6, gt=0)
    longest_shot_s: float = Field(default=3.5, gt=0)
    transition_s: tuple[float, float] = (0.3, 0.9)
    flash_s: tuple[float, float] = (0.12, 0.3)
    transitions: dict[TransitionKind, float] = Field(default_factory=lambda: dict.fromkeys(TRANSITION_KINDS, 1.0))
    static_shot: float = Field(default=0.25, ge=0, le=1)
    text_on_shot: float = Field(default=0.4, ge=0, le=1)
    turned_text: float = Field(default=0.25, ge=0, le=1)
    flash_inside_shot: float = Field(default=0.15, ge=0, le=1)
    split: Split = "train"
    world: WorldOptions = WorldOptions()

    @model_validator(mode="after")
    def _fits(self) -> "LongVideoOptions":
        if self.longest_shot_s < self.shortest_shot_s:
            raise ValueError(f"longest_shot_s is {self.longest_shot_s}, below shortest_shot_s {self.shortest_shot_s}")
        for name, (low, high) in (("transition_s", self.transition_s), ("flash_s", self.flash_s)):
            if not 0 < low <= high <= self.shortest_shot_s * 0.6:
                raise ValueError(f"{name} is {low}, {high}: give two rising lengths up to 0.6 of shortest_shot_s")
        if min(self.transitions.values(), default=0) < 0 or sum(self.transitions.values()) <= 0:
            raise ValueError(f"transitions is {self.transitions}, its weights should be >= 0 and not all 0")
        return self


@dataclass(frozen=True)
class FrameSpan:
    """Frames from `first_frame` to `last_frame`, both included."""

    first_frame: int
    last_frame: int

    def __contains__(self, frame: int) -> bool:
        return self.first_frame <= frame <= self.last_frame


@dataclass(frozen=True)
class Shot:
    """One scene, visible in the frames of `span` (also where it is mixed with another or darkened)."""

    span: FrameSpan
    scene: Scene
    is_static: bool


@dataclass(frozen=True)
class ShotTransition:
    """A transition between two shots.

    span: frames that it changes. Cut: the new shot's first frame; fade: darkened frames, the middle one black;
    dissolve: frames that mix both shots; flash: brightened frames, the middle one white.
    new_shot_frame: first frame that shows the new shot alone or more than the old one.
    """

    kind: TransitionKind
    span: FrameSpan
    new_shot_frame: int


@dataclass(frozen=True)
class LongVideoRecord:
    """Ground truth of a long video.

    inner_flashes: flashes that no new shot follows.
    static_spans: spans in which each frame equals the previous one.
    """

    num_frames: int
    fps: Fraction
    height: int
    width: int
    shots: tuple[Shot, ...]
    transitions: tuple[ShotTransition, ...]
    inner_flashes: tuple[FrameSpan, ...]
    texts: tuple[TextBox, ...]
    static_spans: tuple[FrameSpan, ...]


def plan_long_video(seed: int, index: int = 0, options: LongVideoOptions | None = None) -> LongVideoRecord:
    """Plan video number `index`, a function of the arguments alone."""
    options = options or LongVideoOptions()
    draw = python_random(seed, f"synthetic/long/{options.split}", index)
    shots: list[Shot] = []
    transitions: list[ShotTransition] = []
    start = 0
    for number in range(options.num_shots):
        length_s = draw.uniform(options.shortest_shot_s, options.longest_shot_s)
        last = start + max(3, round(length_s * options.fps)) - 1
        scene_index = index * 1_000_003 + number
        shots.append(_shot(draw, sample_scene(seed, options.split, scene_index, options.world), start, last, options))
        if number + 1 < options.num_shots:
            earliest = transitions[-1].span.last_frame + 2 if transitions else 1
            transition, start = _transition(draw, last, options, earliest=earliest)
            transitions.append(transition)
            shots[-1] = dataclasses.replace(
                shots[-1], span=FrameSpan(shots[-1].span.first_frame, _last_seen(transition))
            )
    clear = _clear_spans(shots, transitions)
    flashes = tuple(_inner_flash(draw, span, options) for span in clear if draw.random() < options.flash_inside_shot)
    texts = tuple(_text(draw, shot.span, options) for shot in shots if draw.random() < options.text_on_shot)
    return LongVideoRecord(
        num_frames=shots[-1].span.last_frame + 1,
        fps=options.fps,
        height=options.height,
        width=options.width,
        shots=tuple(shots),
        transitions=tuple(transitions),
        inner_flashes=tuple(flash for flash in flashes if flash.last_frame >= flash.first_frame),
        texts=texts,
        static_spans=_static_spans(shots, clear, flashes, texts),
    )


def _shot(draw: random.Random, scene: Scene, first: int, last: int, options: LongVideoOptions) -> Shot:
    is_static = draw.random() < options.static_shot
    # A motion lasts as long as its shot, so that nothing leaves the frame.
    scene = scene.with_speed(0.0 if is_static else NOMINAL_S * float(options.fps) / (last + 1 - first))
    is_static = is_static or not scene.is_moving
    return Shot(FrameSpan(first, last), scene, is_static)


def _transition(
    draw: random.Random, last: int, options: LongVideoOptions, *, earliest: int
) -> tuple[ShotTransition, int]:
    """Draw the transition at the end of a shot that would last to frame `last`, and the next shot's first frame.

    It does not begin before frame `earliest`, so that it cannot overlap the previous transition.
    """
    kind = draw.choices(list(options.transitions), list(options.transitions.values()))[0]
    length_s = draw.uniform(*(options.flash_s if kind == "flash" else options.transition_s))
    length = max(1, round(length_s * options.fps))
    match kind:
        case "cut":
            return ShotTransition(kind, FrameSpan(last + 1, last + 1), last + 1), last + 1
        case "dissolve":
            first = max(last + 1 - length, earliest)
            return ShotTransition(kind, FrameSpan(first, last), first + math.ceil((last - first) / 2)), first
        case "fade" | "flash":
            half = min(max(1, length // 2), last + 1 - earliest)
            return ShotTransition(kind, FrameSpan(last + 1 - half, last + 1 + half), last + 1), last + 1


def _last_seen(transition: ShotTransition) -> int:
    return transition.span.last_frame if transition.kind == "dissolve" else transition.new_shot_frame - 1


def _clear_spans(shots: list[Shot], transitions: list[ShotTransition]) -> list[FrameSpan]:
    """Return the frames of each shot that no transition changes (a cut changes none)."""
    spans: list[FrameSpan] = []
    for number, shot in enumerate(shots):
        first, last = shot.span.first_frame, shot.span.last_frame
        if number > 0 and transitions[number - 1].kind != "cut":
            first = transitions[number - 1].span.last_frame + 1
        if number < len(transitions) and transitions[number].kind != "cut":
            last = transitions[number].span.first_frame - 1
        spans.append(FrameSpan(first, last))
    return spans


def _inner_flash(draw: random.Random, clear: FrameSpan, options: LongVideoOptions) -> FrameSpan:
    """Draw a flash well inside `clear`; empty (last before first) if there is no room."""
    half = max(1, round(draw.uniform(*options.flash_s) * options.fps) // 2)
    low, high = clear.first_frame + half + 2, clear.last_frame - half - 2
    if low > high:
        return FrameSpan(0, -1)
    middle = draw.randint(low, high)
    return FrameSpan(middle - half, middle + half)


def _text(draw: random.Random, shot: FrameSpan, options: LongVideoOptions) -> TextBox:
    """Draw a line of text somewhere inside the frame during most of a shot."""
    text = draw.choice(PHRASES)
    angle = draw.choice((-1, 1)) * draw.uniform(5, 15) if draw.random() < options.turned_text else 0.0
    size = max(8, round(options.height * draw.uniform(0.09, 0.17)))
    polygon = place_text(text, size_px=size, angle_deg=angle, left_px=0, top_px=0)
    while size > 6 and (_right(polygon) > options.width - 4 or _bottom(polygon) > options.height - 4):
        size -= 1
        polygon = place_text(text, size_px=size, angle_deg=angle, left_px=0, top_px=0)
    left = round(draw.uniform(2, max(2.0, options.width - 2 - _right(polygon))))
    top = round(draw.uniform(2, max(2.0, options.height - 2 - _bottom(polygon))))
    ink = draw.choice(INKS)
    length = shot.last_frame - shot.first_frame + 1
    first = shot.first_frame + draw.randint(0, length // 4)
    return TextBox(
        text=text,
        polygon=place_text(text, size_px=size, angle_deg=angle, left_px=left, top_px=top),
        first_frame=first,
        last_frame=shot.last_frame - draw.randint(0, length // 4),
        size_px=size,
        colour=ink,
        has_plate=ink != INKS[2] and draw.random() < 0.5,
        angle_deg=angle,
    )


def _right(polygon: tuple[tuple[float, float], ...]) -> float:
    return max(x for x, _ in polygon)


def _bottom(polygon: tuple[tuple[float, float], ...]) -> float:
    return max(y for _, y in polygon)


def _static_spans(
    shots: list[Shot], clear: list[FrameSpan], flashes: tuple[FrameSpan, ...], texts: tuple[TextBox, ...]
) -> tuple[FrameSpan, ...]:
    """Return runs of at least two equal frames: static shots, split where a flash or a text appears or disappears."""
    spans: list[FrameSpan] = []
    for shot, span in zip(shots, clear, strict=True):
        if not shot.is_static:
            continue
        starts = {span.first_frame, span.last_frame + 1}
        for flash in flashes:
            starts.update(range(flash.first_frame, flash.last_frame + 2))
        for text in texts:
            starts.update((text.first_frame, text.last_frame + 1))
        inside = sorted(frame for frame in starts if span.first_frame <= frame <= span.last_frame + 1)
        spans += [FrameSpan(first, after - 1) for first, after in itertools.pairwise(inside) if after - first > 1]
    return tuple(spans)
