"""The ways to find the flow between two frames of a clip."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

import numpy as np
from jaxtyping import Float32, UInt8

from videoldm.curation.annotators.annotator import KeptFrame
from videoldm.curation.annotators.config import FlowConfig
from videoldm.measures.config import DisConfig, FarnebackConfig
from videoldm.measures.grey_flow import DisFlow, farneback_flow

Grey = UInt8[np.ndarray, "_ _"]
Picture = UInt8[np.ndarray, "_ _ *c"]
"""Grey, or RGB."""


class Flow(Protocol):
    """Where each point of a picture lies in the next one."""

    def picture(self, frame: KeptFrame) -> Picture:
        """Of a frame what is looked at: grey or RGB, at least at the working size if the frame is as large."""
        ...

    def between(self, first: Picture, second: Picture) -> Float32[np.ndarray, "h w 2"]:
        """Pixels to the right and down, for pictures of about the working size."""
        ...


def make_flow(config: FlowConfig) -> Flow:
    """The flow of a config; raises MissingModelError if it needs a model that is not here."""
    match config:
        case DisConfig():
            return _OfGreys(config.working_short_side, DisFlow(config))
        case FarnebackConfig():
            return _OfGreys(config.working_short_side, partial(farneback_flow, config=config))
        case _:
            from videoldm.curation.annotators.motion_raft import Raft

            return Raft(config)


class _OfGreys:
    """A flow between grey pictures, without a model of its own."""

    def __init__(self, least_short_side: int, between: Callable[[Grey, Grey], Float32[np.ndarray, "h w 2"]]) -> None:
        self._least_short_side = least_short_side
        self._between = between

    def picture(self, frame: KeptFrame) -> Grey:
        return frame.grey(self._least_short_side)

    def between(self, first: Grey, second: Grey) -> Float32[np.ndarray, "h w 2"]:
        return self._between(first, second)
