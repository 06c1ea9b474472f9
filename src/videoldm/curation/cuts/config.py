"""What decides where shots end; torch-free."""

from pydantic import Field

from videoldm.core.config import Config
from videoldm.core.numbers import NonNegative, Positive


class CutConfig(Config):
    """Thresholds of the detectors; levels are those of a full-range picture, 0 to 255, times are in seconds.

    All were tuned on generated videos (`videoldm.synthetic.long`, seeds of the split "train").
    """

    candidate_change: NonNegative = 4.0
    """A frame may begin a shot, and is kept, if it differs from the one before by this many levels ..."""
    candidate_ratio: Positive = 1.5
    """... and by this many times what the frames before it did."""

    cut_change: NonNegative = 8.0
    """A cut's change is at least this many levels ..."""
    cut_ratio: Positive = 2.5
    """... and this many times the change of the frames around it."""
    cut_around_s: Positive = Field(default=0.25)
    """How far around a cut frames are compared with it."""
