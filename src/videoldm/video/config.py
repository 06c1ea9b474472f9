"""What can be chosen about pictures; torch-free."""

from typing import Literal

FitMode = Literal["crop", "pad", "stretch"]
"""How a picture of another aspect fills a frame."""
