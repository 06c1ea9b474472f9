"""Methods that estimate the optical flow between two frames of a clip."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, Protocol

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from pydantic import Field, PositiveInt

from videoldm.core.config import Config
from videoldm.core.errors import InputError
from videoldm.curation.annotators.annotator import KeptFrame
from videoldm.curation.annotators.models.local_model import MissingModelError, open_session
from videoldm.measures.array_motion import DisFlow, farneback_flow
from videoldm.measures.config import DisConfig, FarnebackConfig

_MULTIPLE_PX = 8
"""RAFT compares features of an eighth of the pictures' size."""

Grey = UInt8[np.ndarray, "_ _"]
Rgb = UInt8[np.ndarray, "h w 3"]
Picture = UInt8[np.ndarray, "_ _ *c"]
"""Grey, or RGB."""


class RaftConfig(Config):
    """RAFT, or another network that takes two pictures and gives their flow, as an .onnx file."""

    method: Literal["raft"] = "raft"
    model: str
    """The file: two RGB pictures `1 3 h w` in, in order; the last of its outputs is the flow `1 2 h w` in pixels."""
    pixel_range: Literal["0..255", "-1..1"] = "0..255"
    """0..255 for files made from the authors' code, as in OpenCV's zoo; -1..1 for those made from torchvision."""
    working_short_side: int = Field(default=256, ge=128)
    """Pictures are scaled to the size that the file states; if it states none, to multiples of 8 near this side."""
    num_threads: PositiveInt = 1


FlowConfig = Annotated[DisConfig | FarnebackConfig | RaftConfig, Field(discriminator="method")]


class Flow(Protocol):
    """A method that says where each point of a picture lies in the next one."""

    def picture(self, frame: KeptFrame) -> Picture:
        """Return what the method looks at: grey or RGB, at least of the working size if the frame is that large."""
        ...

    def between(self, first: Picture, second: Picture) -> Float32[np.ndarray, "h w 2"]:
        """Return pixels to the right and down, for pictures of about the working size."""
        ...


def make_flow(config: FlowConfig) -> Flow:
    """Return the flow of a config; raises MissingModelError if its model is not on this machine."""
    match config:
        case DisConfig():
            return _OfGreys(config.working_short_side, DisFlow(config))
        case FarnebackConfig():
            return _OfGreys(config.working_short_side, partial(farneback_flow, config=config))
        case _:
            return Raft(config)


class _OfGreys:
    """A flow between grey pictures that needs no model."""

    def __init__(self, least_short_side: int, between: Callable[[Grey, Grey], Float32[np.ndarray, "h w 2"]]) -> None:
        self._least_short_side = least_short_side
        self._between = between

    def picture(self, frame: KeptFrame) -> Grey:
        return frame.grey(self._least_short_side)

    def between(self, first: Grey, second: Grey) -> Float32[np.ndarray, "h w 2"]:
        return self._between(first, second)


class Raft:
    """Teed and Deng 2020, "RAFT: Recurrent All-Pairs Field Transforms for Optical Flow", one pair at a time."""

    def __init__(self, config: RaftConfig) -> None:
        """Raise MissingModelError if there is no such file, InputError if it takes anything but two pictures."""
        path = Path(config.model)
        if not path.is_file():
            raise MissingModelError(f"{path}: is not a file, a network for flow should be an ONNX file")
        self._config = config
        self._session = open_session(path, config.num_threads)
        inputs = self._session.get_inputs()
        if [_channels(one.shape) for one in inputs] != [3, 3]:
            shapes = ", ".join(str(one.shape) for one in inputs)
            raise InputError(f"{path}: takes {shapes}, a network for flow should take two pictures, 1 3 height width")
        self._names = [one.name for one in inputs]
        self._fixed = inputs[0].shape[2:]

    def picture(self, frame: KeptFrame) -> Rgb:
        """Return the frame in colour, as such networks are trained on colour."""
        return frame.pixels

    def between(self, first: Rgb, second: Rgb) -> Float32[np.ndarray, "h w 2"]:
        """Return the last of the network's flows, at the size and in the pixels of the pictures."""
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
        """Return width and height; dimensions that the file leaves open have no number."""
        sides = zip(self._fixed, (height, width), strict=True)
        y, x = (fixed if isinstance(fixed, int) else _MULTIPLE_PX * round(side / _MULTIPLE_PX) for fixed, side in sides)
        return x, y

    def _input(self, picture: Rgb, size: tuple[int, int]) -> Float32[np.ndarray, "1 3 y x"]:
        resized = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR).astype(np.float32)
        scaled = resized if self._config.pixel_range == "0..255" else resized / 127.5 - 1
        return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])


def _channels(shape: list[int | str | None]) -> int | str | None:
    return shape[1] if len(shape) == 4 else None
