"""Readers of packets by format: roles, and content independent of the container's framing."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from videoldm.video.bitstream.frame_headers import (
    av1_content,
    av1_role_reader,
    ffv1_role,
    mpeg4_role,
    mpeg12_role,
    vp8_role,
    vp9_role,
)
from videoldm.video.bitstream.nal_units import h264_content, h264_role_reader, hevc_content, hevc_role_reader
from videoldm.video.bitstream.roles import PacketRole, RoleReader

Content = Callable[[bytes], Hashable]
"""Maps the bytes of a packet to a value that is equal for packets with the same content.

MPEG-TS frames some formats in another way than mp4 does.
"""

# Formats without references between packets, of those that a clip can be stored in. FFV1 does have references.
_INTRA_ONLY = {"mjpeg", "prores", "dnxhd", "jpeg2000"}


def role_reader(codec: str, header: bytes) -> RoleReader | None:
    """Return the reader of a stream's roles, None for formats whose bitstream is not supported.

    codec: FFmpeg's name of the format.
    header: the stream's extradata.
    """
    match codec:
        case "h264":
            return h264_role_reader(header)
        case "hevc":
            return hevc_role_reader(header)
        case "vp8":
            return vp8_role
        case "vp9":
            return vp9_role
        case "av1":
            return av1_role_reader(header)
        case "mpeg4":
            return mpeg4_role
        case "mpeg1video" | "mpeg2video":
            return mpeg12_role
        case "ffv1":
            return ffv1_role
        case _ if codec in _INTRA_ONLY:
            return _intra_only_role
        case _:
            return None


def content_reader(codec: str, header: bytes) -> Content:
    """Return the function that compares packets of a stream with this extradata by content."""
    match codec:
        case "h264":
            return lambda data: h264_content(data, header)
        case "hevc":
            return lambda data: hevc_content(data, header)
        case "av1":
            return av1_content
        case _:
            return lambda data: data


def _intra_only_role(data: bytes) -> PacketRole:
    return PacketRole.ACCESS if data else PacketRole.UNUSABLE
