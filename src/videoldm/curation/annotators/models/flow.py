"""The ways to find the flow between two frames of a clip."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from videoldm.core.errors import InputError
from videoldm.curation.annotators.annotator import KeptFrame
from videoldm.curation.annotators.config import FlowConfig, RaftConfig
from videoldm.curation.annotators.models.local_model import MissingModelError, open_session
from videoldm.measures.array_motion import DisFlow, farneback_flow
from videoldm.measures.config import DisConfig, FarnebackConfig

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


_MULTIPLE_PX = 8
"""RAFT compares features of an eighth of the pictures' size."""

Rgb = UInt8[np.ndarray, "h w 3"]


class Raft:
    """Teed and Deng 2020, "RAFT: Recurrent All-Pairs Field Transforms for Optical Flow"; pairs go in one by one."""

    def __init__(self, config: RaftConfig) -> None:
        """Raises MissingModelError if there is no such file, InputError if it takes anything but two pictures."""
        path = Path(config.model)
        if not path.is_file():
            raise MissingModelError(f"{path}: is no file, a network for flow should be an ONNX file")
        self._config = config
        self._session = open_session(path, config.num_threads)
        inputs = self._session.get_inputs()
        if [_channels(one.shape) for one in inputs] != [3, 3]:
            shapes = ", ".join(str(one.shape) for one in inputs)
            raise InputError(f"{path}: takes {shapes}, a network for flow should take two pictures, 1 3 height width")
        self._names = [one.name for one in inputs]
        self._fixed = inputs[0].shape[2:]

    def picture(self, frame: KeptFrame) -> Rgb:
        """In colour, as such networks are trained."""
        return frame.pixels

    def between(self, first: Rgb, second: Rgb) -> Float32[np.ndarray, "h w 2"]:
        """The last of the network's flows, at the size and in the pixels of the pictures."""
        height, width = first.shape[:2]
        size = self._network_size(height, width)
        feed = {name: self._input(picture, size) for name, picture in zip(self._names, (first, second), strict=True)}
        flow = self._session.run(None, feed)[-1]
        if flow.shape != (1, 2, size[1], size[0]):
            expected = f"1 2 {size[1]} {size[0]}"
            raise InputError(f"{self._config.model}: gives {flow.shape}, its last output should be a flow, {expected}")
        scale = np.array([width / size[0], height / size[1]], np.float32)
        return cv2.resize(flow[0].transpose(1, 2, 0), (width, height), interpolation=cv2.INTER_LINEAR) * scale

    def _network_size(self, height: int, width: int) -> tuple[int, int]:
        """Width and height; dimensions that the file leaves open have no number."""
        sides = zip(self._fixed, (height, width), strict=True)
        y, x = (fixed if isinstance(fixed, int) else _MULTIPLE_PX * round(side / _MULTIPLE_PX) for fixed, side in sides)
        return x, y

    def _input(self, picture: Rgb, size: tuple[int, int]) -> Float32[np.ndarray, "1 3 y x"]:
        resized = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR).astype(np.float32)
        scaled = resized if self._config.pixel_range == "0..255" else resized / 127.5 - 1
        return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])


def _channels(shape: list[int | str | None]) -> int | str | None:
    return shape[1] if len(shape) == 4 else None
