"""What decides where shots end; torch-free."""

from pydantic import Field

from videoldm.core.config import Config, NonNegative, Positive, Share


class CandidateConfig(Config):
    """When a frame may begin a shot, so that the scan keeps it and the one before; much more than are cuts."""

    change: NonNegative = 6.0
    """Luma differs from the frame before by this much on average ..."""
    ratio: NonNegative = 1.5
    """... and by this many times what it did lately ..."""
    histogram: NonNegative = 0.12
    """... and its histogram by this much; a cut with less would need a change of 140 levels."""


class HardCutConfig(Config):
    """A cut is where (change / `change`) * (histogram change / `histogram`)^2 is at least 1.

    Of both, what frames within `around_s` change on average is taken off first, times `change_around` and
    `histogram_around`: frames that move fast differ, too. Camera jolts change pictures, but hardly histograms.
    """

    change: Positive = 20.0
    histogram: Positive = 0.32
    change_around: NonNegative = 0.7
    histogram_around: NonNegative = 0.5
    around_s: Positive = 0.25


class VeilConfig(Config):
    """Fades and flashes: frames that turn to black or white and come back from it."""

    share: Share = 0.8
    """How much of a frame has to be black or white for it to count as such; the rest may be text ..."""
    longest_part_s: Positive = 0.5
    """... but where that lasts for longer, it is a dark or bright shot, unless ..."""
    whole: Share = 0.98
    """... so much of the frame is black or white."""
    black: NonNegative = 16.0
    white: Positive = 236.0
    height: Positive = 12.0
    """By how much the mean has to leave black or white again; what does not is a dark or a bright shot."""
    peak: Positive = 25.0
    """The same for a flash that does not reach white or a fade that does not reach black, as if that frame is missing;
    the two are looked for where the mean is highest or lowest within `longest_flash_s` on both sides."""
    least_flash: Share = 0.3
    """How much of the way to white `share` of the picture has to go in such a flash ..."""
    least_fade: Share = 0.5
    """... and to black in such a fade."""
    longest_ramp_s: Positive = 4.0
    """On either side of black or white."""
    longest_flash_s: Positive = 0.5
    """A white that lasts longer, ramps included, is a fade."""


class DissolveRate(Config):
    """Windows of some lengths are looked at so many times a second."""

    rate: Positive
    lengths_s: tuple[Positive, ...] = Field(min_length=1)


class DissolveConfig(Config):
    """A dissolve is where histogram change * (1 - unevenness cost * unevenness) * lost energy^2 reaches `histogram`.

    Histogram change, from 0 to 1, is that of the frames before and after it; unevenness how far the share of the new
    shot is from growing steadily; lost energy, from 0 to 1, how much contrast the frames inside lack: mixtures lack
    what their shares say (1), moving pictures nothing.
    """

    rates: tuple[DissolveRate, ...] = (
        DissolveRate(rate=12.5, lengths_s=(0.24, 0.32, 0.48, 0.64, 0.8)),
        DissolveRate(rate=4, lengths_s=(1, 1.5, 2, 3)),
    )
    histogram: Positive = 0.05
    change: Positive = 12.0
    """The frames before and after differ by at least this many levels (root mean square)."""
    residual_cost: NonNegative = 2.0
    """How much what is no mixture in a window counts against it, when the best windows are looked for."""
    unevenness_cost: NonNegative = 3.0


class CutConfig(Config):
    """Thresholds of the detectors. Levels are those of full-range pictures, 0 to 255.

    All defaults were tuned on generated videos (`benchmarks/cuts.py --split train`), never on those that are reported.
    """

    candidates: CandidateConfig = CandidateConfig()
    hard: HardCutConfig = HardCutConfig()
    veils: VeilConfig = VeilConfig()
    dissolves: DissolveConfig = DissolveConfig()
    same_shot: Positive = 7.0
    """What comes before and after a flash is one shot if change * sqrt(histogram change), measured as for dissolves, is
    below this."""
