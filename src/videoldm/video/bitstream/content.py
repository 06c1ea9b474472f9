"""What a packet says, however its container frames it: MPEG-TS writes some formats in another way than mp4 does."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from videoldm.video.bitstream.frame_headers import av1_content
from videoldm.video.bitstream.nal_units import h264_content, hevc_content

Content = Callable[[bytes], Hashable]
"""From the bytes of a packet to something equal for packets that say the same."""


def content_reader(codec: str, header: bytes) -> Content:
    """The content of packets of a stream with this extradata."""
    match codec:
        case "h264":
            return lambda data: h264_content(data, header)
        case "hevc":
            return lambda data: hevc_content(data, header)
        case "av1":
            return av1_content
        case _:
            return lambda data: data
