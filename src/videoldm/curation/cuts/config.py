"""Thresholds that decide where shots end; torch-free."""

from pydantic import Field

from videoldm.core.config import Config, NonNegative, Positive, Share

SIGNALS_VERSION = "3"
"""Changes whenever the signals of a frame do, so that sources are decoded anew."""


class CandidateConfig(Config):
    """When a frame may begin a shot, so that the scan keeps it and the one before; far more frames than cuts."""

    change: NonNegative = 6.0
    """Least mean difference of luma from the frame before ..."""
    ratio: NonNegative = 1.5
    """... which is also this many times the recent one ..."""
    histogram: NonNegative = 0.12
    """... together with this change of the histogram; a cut with less would need a change of 140 levels."""


class HardCutConfig(Config):
    """A cut lies where the sum of these is at least `least`, which makes it as probable as not.

    `likeness` times the drop of likeness from the mean of both sides, `change` times the logarithm of the change, and
    `peak` times that of its ratio to the mean change of the frames within `around_s`. Likeness is the correlation of
    details after motion, so that neither fast motion nor light makes cuts.
    """

    likeness: NonNegative = 10.5
    least_drop: NonNegative = 0.1
    """Drop without which nothing is a cut, however sudden, as a jolt is; and if most of the picture stays the same, as
    when text appears:"""
    least_drop_beside_still: NonNegative = 0.35
    change: NonNegative = 1.75
    peak: NonNegative = 2.8
    least: float = 13.4
    jump: Share = 0.45
    """Likeness across a cut from which it is a jump cut, to nearly the same view."""
    around_s: Positive = 0.25


class FlickerConfig(Config):
    """Sudden changes that are undone as suddenly, again and again, are a light that goes on and off."""

    change: Positive = 5.0
    """Least change, in levels, of luma and twice that of either chroma plane."""
    one_sign: Share = 0.6
    """Least part of the change that makes the picture lighter or darker, or shifts its colour, as a whole."""
    rest: NonNegative = 0.4
    """Most of the change that may be left when it is undone."""
    suddenness: NonNegative = 0.5
    """Least change from one frame to the next that undoes it, as a part of the first change."""
    longest_half_s: Positive = 0.35
    """Longest time until it is undone, and until the next change."""
    least_times: int = Field(default=3, ge=1)
    """Least number of changes that are undone."""


class VeilConfig(Config):
    """Fades and flashes: frames that turn to black or white and come back."""

    share: Share = 0.8
    """Share of a frame that has to be black or white; the rest may be text ..."""
    longest_part_s: Positive = 0.5
    """... but if that lasts longer, it is a dark or bright shot, unless ..."""
    whole: Share = 0.98
    """... this share of the frame is black or white, or ..."""
    whole_but_logo: Share = 0.995
    """... this share of it outside of the corners, where a logo may be."""
    flat: NonNegative = 1.2
    """Most levels (standard deviation) by which a picture of one colour varies, which is no shot either."""
    black: NonNegative = 16.0
    white: Positive = 236.0
    height: Positive = 12.0
    """Levels by which the mean has to leave black or white again; otherwise it is a dark or a bright shot."""
    peak: Positive = 25.0
    """The same for a flash that does not reach white or a fade that does not reach black, as when that frame is
    missing; both are sought where the mean is highest or lowest within `longest_flash_s` on either side."""
    least_flash: Share = 0.3
    """Part of the way to white that `share` of the picture has to go in such a flash ..."""
    least_fade: Share = 0.5
    """... and to black in such a fade."""
    longest_ramp_s: Positive = 4.0
    """Longest ramp on either side of black or white."""
    longest_flash_s: Positive = 0.5
    """White that lasts longer, ramps included, is a fade."""


class DissolveRate(Config):
    """Windows of some lengths, examined this many times a second."""

    rate: Positive
    lengths_s: tuple[Positive, ...] = Field(min_length=1)


class DissolveConfig(Config):
    """A dissolve lies where the sum of these is at least `least`, which makes it as probable as not.

    `histogram` times the logarithm of the histogram's change from before to after; `likeness` times how much less these
    are alike than frames on one side, after motion; `mixture` times the correlation of the middle with the best mixture
    of both, and `gain` times how much better such a mixture explains it than either alone, when both are moved onto it;
    `contrast` and `detail` times what the frames inside lack of either, 1 for mixtures and 0 for what moves;
    less `unevenness` times how far the share of the new shot is from growing steadily.
    """

    rates: tuple[DissolveRate, ...] = (
        DissolveRate(rate=12.5, lengths_s=(0.24, 0.32, 0.48, 0.64, 0.8)),
        DissolveRate(rate=4, lengths_s=(1, 1.5, 2, 3)),
    )
    histogram: NonNegative = 1.66
    likeness: NonNegative = 12.1
    mixture: NonNegative = 3.1
    gain: NonNegative = 13.2
    contrast: NonNegative = 3.2
    detail: NonNegative = 2.0
    unevenness: NonNegative = 8.7
    least: float = 10.8
    least_change: Positive = 7.0
    """Least difference between the frames before and after, in levels (root mean square), to look any closer."""
    least_histogram: Positive = 0.02
    """The same for the histogram, whose change is from 0 to 1 ..."""
    least_strength: NonNegative = 0.0016
    """... and for its product with the square of the lost energy."""
    residual_cost: NonNegative = 2.0
    """Weight against a window of what is not a mixture in it, when the best windows are sought."""


class WipeConfig(Config):
    """A wipe lies where the sum of these is at least `least`, which makes it as probable as not.

    `order` times how much of the times at which places change follows from a line, doors, an iris or a clock's hand;
    `step` times how much of the change is made in steps (times the square root of its mean in levels); `likeness` times
    how much less the ends are alike than frames on one side, after motion; `gain` times how much better both shots
    explain frames inside, each in its place, than either alone; less `back` times how alike one end is to frames beyond
    the other, as when somebody walks by.
    """

    rate: Positive = 12.5
    """Windows are proposed this many times a second ..."""
    lengths_s: tuple[Positive, ...] = (0.24, 0.4, 0.64, 0.96, 1.6)
    """... in these lengths ..."""
    least_part: Share = 0.45
    """... if this part of the picture changes ..."""
    least_merit: NonNegative = 2.2
    """... by steps in even parts: their share times the square root of the mean change in levels."""
    order: NonNegative = 7.4
    step: NonNegative = 0.41
    likeness: NonNegative = 3.7
    gain: NonNegative = 23.4
    back: NonNegative = 8.1
    least: float = 9.6


class LearnedConfig(Config):
    """A network in a file that has to agree with dissolves; see `learned` for what it takes and gives."""

    model: str
    """Path of an ONNX file; another network needs another name, or cuts are not found anew."""
    least: Share = 0.05
    """Least probability of one of the frames; TransNetV2 gives some true ones less than 0.1."""
    num_threads: int = Field(default=1, ge=1)


class CutConfig(Config):
    """Thresholds of the detectors. Levels are those of full-range pictures, 0 to 255.

    All defaults were tuned on generated videos (`benchmarks/cuts.py --split train`) and on footage with known changes
    (`benchmarks/real_cuts.py --part tune`), none of which results are reported for.
    """

    candidates: CandidateConfig = CandidateConfig()
    flicker: FlickerConfig = FlickerConfig()
    hard: HardCutConfig = HardCutConfig()
    veils: VeilConfig = VeilConfig()
    dissolves: DissolveConfig = DissolveConfig()
    wipes: WipeConfig = WipeConfig()
    learned: LearnedConfig | None = None
    """A second opinion on dissolves, by a file; none by default."""
    same_shot: Positive = 7.0
    """The frames before and after a flash are one shot if change * sqrt(histogram change), measured as for dissolves,
    is below this."""
