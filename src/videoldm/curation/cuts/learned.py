"""Second opinion of a network, read from a file, on the dissolves that our detectors find.

**Contract.** The file is ONNX. Its one input takes uint8 RGB frames, 1 x 100 x 27 x 48 x 3, consecutive and in order.
It has one output or more, 1 x 100 or 1 x 100 x 1: the probability for each frame to belong to a transition, 0 to 1; the
highest of them counts. TransNetV2 (arXiv 2008.04838) is of this kind, its sigmoids included.

The frames are enlarged from the pictures that are kept of each frame anyway, so that nothing is decoded for it, and
only frames around what was found go through the network.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from videoldm.core.errors import InputError
from videoldm.curation.cuts.config import LearnedConfig
from videoldm.curation.cuts.signals import LUMA_SIZE, PICTURE_CHROMA, SignalTable
from videoldm.curation.cuts.transition import FrameTransition

WINDOW_FRAMES, HEIGHT, WIDTH = 100, 27, 48
_INPUT = (1, WINDOW_FRAMES, HEIGHT, WIDTH, 3)
_RIGHT = "a detector of transitions takes uint8 1x100x27x48x3 and gives float probabilities 1x100 or 1x100x1"
_STEP_FRAMES = WINDOW_FRAMES // 2
# Frames before and after a transition that count as it: networks and our detectors see its ends differently.
_AROUND_FRAMES = 2


def confirmed(found: Sequence[FrameTransition], signals: SignalTable, config: LearnedConfig) -> list[FrameTransition]:
    """Return `found` without the dissolves of which the network marks no frame.

    Raises InputError if the file is not such a network.
    """
    check_detector(config)  # also where there is nothing to confirm, so that its faults are told
    return [one for one in found if one.kind != "dissolve" or _is_marked(one, signals, config)]


def _is_marked(one: FrameTransition, signals: SignalTable, config: LearnedConfig) -> bool:
    """Return whether a frame of the transition reaches the least probability, in windows with it in their middle."""
    first, end = max(0, one.first - _AROUND_FRAMES), min(len(signals), one.end + _AROUND_FRAMES)
    for start in range(first, end, _STEP_FRAMES):
        stop = min(end, start + _STEP_FRAMES)
        before = (WINDOW_FRAMES - (stop - start)) // 2
        window = np.arange(WINDOW_FRAMES) + start - before
        probabilities = _probabilities(pictures(signals, window.clip(0, len(signals) - 1)), config)
        if probabilities[before : before + stop - start].max() >= config.least:
            return True
    return False


def pictures(signals: SignalTable, numbers: Sequence[int] | np.ndarray) -> UInt8[np.ndarray, "t 27 48 3"]:
    """Return frames in the colours and size that the network sees."""
    chroma = signals.pictures[:, LUMA_SIZE:].reshape(-1, 2, *PICTURE_CHROMA)
    return np.stack([_picture(signals.luma[number], *chroma[number]) for number in numbers])


def _picture(luma: np.ndarray, blue: np.ndarray, red: np.ndarray) -> np.ndarray:
    size = (WIDTH, HEIGHT)
    planes = (
        cv2.resize(luma, size, interpolation=cv2.INTER_CUBIC),
        *(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in (red, blue)),
    )
    return cv2.cvtColor(np.dstack(planes), cv2.COLOR_YCrCb2RGB)


def check_detector(config: LearnedConfig) -> None:
    """Raise InputError if the file is not such a network, before anything is made."""
    _opened(config.model, config.num_threads)


def _probabilities(frames: UInt8[np.ndarray, "t 27 48 3"], config: LearnedConfig) -> Float32[np.ndarray, " t"]:
    return _answer(_opened(config.model, config.num_threads), config.model, frames)


def _answer(session: Any, model: str, frames: UInt8[np.ndarray, "t 27 48 3"]) -> Float32[np.ndarray, " t"]:
    try:
        outputs = [np.asarray(one) for one in session.run(None, {session.get_inputs()[0].name: frames[None]})]
    except Exception as error:
        raise InputError(f"{model}: fails at {WINDOW_FRAMES} frames of {WIDTH}x{HEIGHT}, {_RIGHT}") from error
    for one in outputs:
        if one.shape not in ((1, WINDOW_FRAMES), (1, WINDOW_FRAMES, 1)) or one.dtype.kind != "f":
            raise InputError(f"{model}: gives {one.dtype} {_sides(one.shape)}, {_RIGHT}")
    found = np.concatenate([one.reshape(1, WINDOW_FRAMES) for one in outputs]).max(axis=0)
    if not 0 <= found.min() <= found.max() <= 1:
        wrong = found.max() if found.min() >= 0 else found.min()
        raise InputError(f"{model}: gives {wrong:g}, it should give probabilities from 0 to 1")
    return found.astype(np.float32)


def _sides(shape: Sequence[int | str | None]) -> str:
    return "x".join("any" if side is None else str(side) for side in shape) or "one number"


@functools.lru_cache(maxsize=1)
def _opened(model: str, num_threads: int) -> Any:
    """Open the file and try it once; workers keep it for all their sources."""
    from videoldm.curation.annotators.models.local_model import open_session

    path = Path(model)
    if not path.is_file():
        raise InputError(f"{path}: does not exist, a detector of transitions should be an ONNX file")
    session = open_session(path, num_threads)
    inputs = session.get_inputs()
    if [(one.type, _fits(one.shape)) for one in inputs] != [("tensor(uint8)", True)]:
        found = ", ".join(f"{one.type.removeprefix('tensor(').rstrip(')')} {_sides(one.shape)}" for one in inputs)
        raise InputError(f"{path}: takes {found or 'nothing'}, {_RIGHT}")
    levels = np.arange(math.prod(_INPUT)) * 71 % 256
    _answer(session, model, levels.astype(np.uint8).reshape(_INPUT[1:]))
    return session


def _fits(shape: Sequence[int | str | None]) -> bool:
    """Return whether a network with these sides, of which some may be open, takes a window of frames."""
    return len(shape) == len(_INPUT) and all(
        side == wanted for side, wanted in zip(shape, _INPUT, strict=True) if isinstance(side, int)
    )
