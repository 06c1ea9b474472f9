"""Interlaced frames: how far their two fields are apart, and frames of one moment made from them."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
from av import VideoFrame
from av.filter import Graph
from av.video.stream import VideoStream
from jaxtyping import Num

# AVFieldOrder: how the fields are coded and shown; the first letter says which one is stored first, the second which
# one is shown first, top or bottom.
_ORDERS = {1: "progressive", 2: "tt", 3: "bb", 4: "tb", 5: "bt"}
# Columns between those that combing is measured in.
_STRIDE = 16


def field_order(stream: VideoStream) -> str | None:
    """Return "progressive", "tt", "bb", "tb" or "bt" as ffprobe does; None if the stream does not say."""
    return _ORDERS.get(int(stream.codec_context.field_order))


def combing(luma: Num[np.ndarray, "h w"]) -> float | None:
    """Return the mean difference of neighbouring lines over that of lines two apart; None for an even picture.

    About 0.6 for a frame of one moment, 1 for noise, above 1 where two moments are woven into one frame.
    """
    lines = np.ascontiguousarray(luma[:, ::_STRIDE])
    if len(lines) < 3:
        return None
    one_apart, two_apart = (_difference(lines[:-apart], lines[apart:]) for apart in (1, 2))
    return one_apart / two_apart if two_apart else None


def _difference(lines: Num[np.ndarray, "h w"], others: Num[np.ndarray, "h w"]) -> float:
    return cv2.norm(lines, others, cv2.NORM_L1) / lines.size


def progressive(frame: VideoFrame) -> VideoFrame:
    """Return a frame that is tagged as interlaced as it looks at the moment of its first field; others as they are.

    By FFmpeg's edge-slope tracing filter, which needs no other frame, so that any frame can be read alone.
    """
    if not frame.interlaced_frame:
        return frame
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1)
    )
    deinterlace, sink = graph.add("estdif", "mode=frame:deint=all"), graph.add("buffersink")
    source.link_to(deinterlace)
    deinterlace.link_to(sink)
    graph.configure()
    graph.push(frame)
    graph.push(None)
    result = graph.vpull()
    result.pts, result.time_base = frame.pts, frame.time_base
    result.colorspace, result.color_range = frame.colorspace, frame.color_range
    return result
