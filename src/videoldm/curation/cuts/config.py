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
    """A cut is a frame that the judge of cuts says is one."""

    least_change: NonNegative = 1.0
    """Least change, in levels, of luma and twice that of either chroma plane ..."""
    least_peak: NonNegative = 0.12
    """... and logarithm of its ratio to the mean change of the frames around, to look at a frame at all."""
    least_possible: Share = 0.004
    """Probability from which motion is sought, which is more exact and takes longer."""
    least_probability: Share = 0.75
    """Probability from which a frame is a cut; false cuts in real footage reach 0.7."""
    least_drop_beside_still: NonNegative = 0.35
    """Least drop of likeness of a cut after which most of the picture is the same, as when text appears."""
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
    least_likeness: Share = 0.3
    """Least likeness across most of the changes, or else two shots take turns."""
    least_drop: Share = 0.4
    """Least drop of likeness, below that of the frames on either side, of a cut under it."""


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
    least_probability: Share = 0.6
    """Least probability, as the judge of fades says, of what may be one ..."""
    empty: NonNegative = 0.5
    """... unless the picture at its end varies by so many levels at most (standard deviation), but for its corners."""


class DissolveRate(Config):
    """Windows of some lengths, examined this many times a second."""

    rate: Positive
    lengths_s: tuple[Positive, ...] = Field(min_length=1)


class DissolveConfig(Config):
    """Which windows may be dissolves."""

    rates: tuple[DissolveRate, ...] = (
        DissolveRate(rate=12.5, lengths_s=(0.24, 0.32, 0.48, 0.64, 0.8)),
        DissolveRate(rate=4, lengths_s=(1, 1.5, 2, 3)),
    )
    least_change: Positive = 6.0
    """Least difference between the frames before and after, in levels (root mean square) ..."""
    least_histogram: Positive = 0.015
    """... and of the histogram, whose change is from 0 to 1 ..."""
    least_strength: NonNegative = 0.001
    """... and product of this and the square of the lost energy."""
    residual_cost: NonNegative = 2.0
    """Weight against a window of what is not a mixture in it, when the best windows are sought."""


class WipeConfig(Config):
    """Which windows may be wipes."""

    rate: Positive = 12.5
    """Windows are proposed this many times a second ..."""
    lengths_s: tuple[Positive, ...] = (0.24, 0.4, 0.64, 0.96, 1.6)
    """... in these lengths ..."""
    least_part: Share = 0.4
    """... if this part of the picture changes ..."""
    least_merit: NonNegative = 1.8
    """... by steps in even parts: their share times the square root of the mean change in levels."""


class GradualConfig(Config):
    """A dissolve or wipe is a window that the judge of gradual transitions says is one."""

    dissolves: DissolveConfig = DissolveConfig()
    wipes: WipeConfig = WipeConfig()
    windows_at_a_place: int = Field(default=2, ge=1)
    """Most windows of either kind that are looked into at one frame."""
    least_possible: Share = 0.05
    """Probability from which motion is sought, which is more exact and takes longer."""
    least_probability: Share = 0.8
    """Probability from which a window is a dissolve or wipe."""
    least_in_steps: Share = 0.65
    """Part of the change that is made in steps, from one shot to the other, from which it is a wipe."""


class LearnedConfig(Config):
    """A network in a file that has to agree with dissolves; see `learned` for what it takes and gives."""

    model: str
    """Path of an ONNX file; another network needs another name, or cuts are not found anew."""
    least: Share = 0.05
    """Least probability of one of the frames; TransNetV2 gives some true ones less than 0.1."""
    num_threads: int = Field(default=1, ge=1)


class CutConfig(Config):
    """Thresholds of the detectors. Levels are those of full-range pictures, 0 to 255.

    Defaults were tuned, and judges fitted, on generated videos (`benchmarks/cuts.py --split train`) and on footage with
    known changes (`benchmarks/real_cuts.py --part tune`), none of which results are reported for.
    """

    candidates: CandidateConfig = CandidateConfig()
    flicker: FlickerConfig = FlickerConfig()
    hard: HardCutConfig = HardCutConfig()
    veils: VeilConfig = VeilConfig()
    gradual: GradualConfig = GradualConfig()
    learned: LearnedConfig | None = None
    """A second opinion on dissolves, by a file; none by default."""
    same_shot: Positive = 7.0
    """The frames before and after a flash are one shot if change * sqrt(histogram change), measured as for dissolves,
    is below this."""
