"""The ways to find the flow between two frames of a clip."""

from __future__ import annotations

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
            return _Dis(config)
        case FarnebackConfig():
            return _Farneback(config)
        case _:
            from videoldm.curation.annotators.motion_raft import Raft

            return Raft(config)


class _Dis:
    def __init__(self, config: DisConfig) -> None:
        self._config = config
        self._flow = DisFlow(config)

    def picture(self, frame: KeptFrame) -> Grey:
        return frame.grey(self._config.working_short_side)

    def between(self, first: Grey, second: Grey) -> Float32[np.ndarray, "h w 2"]:
        return self._flow(first, second)


class _Farneback:
    def __init__(self, config: FarnebackConfig) -> None:
        self._config = config

    def picture(self, frame: KeptFrame) -> Grey:
        return frame.grey(self._config.working_short_side)

    def between(self, first: Grey, second: Grey) -> Float32[np.ndarray, "h w 2"]:
        return farneback_flow(first, second, self._config)
