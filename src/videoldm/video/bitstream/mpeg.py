"""MPEG-1 and MPEG-2 (ISO/IEC 13818-2, 6.2) and MPEG-4 part 2 (ISO/IEC 14496-2, 6.2): pictures behind start codes.

A P picture refers to the I or P picture before it, a B picture to those on both of its sides, and nothing refers to a B
picture. So one can begin at any I picture if the B pictures are left out that follow it but are shown before it. Those
of a closed group could be decoded, and are left out as well: a clip begins with its access point.
"""

from __future__ import annotations

from collections.abc import Iterator

from videoldm.video.bitstream.roles import PacketRole

_START_CODE = b"\0\0\1"
_PICTURE, _SEQUENCE = 0x00, 0xB3
_VOP = 0xB6


def mpeg12_role(data: bytes) -> PacketRole:
    """An I picture counts with a sequence header before it, as quantisation matrices stand there."""
    has_sequence = False
    for code, payload in _units(data):
        has_sequence |= code == _SEQUENCE
        if code == _PICTURE and len(payload) >= 2:
            match payload[1] >> 3 & 7:
                case 1:
                    return PacketRole.ACCESS if has_sequence else PacketRole.FRAME
                case 2:
                    return PacketRole.FRAME
                case 3:
                    return PacketRole.LEADING
                case _:
                    return PacketRole.UNUSABLE
    return PacketRole.UNUSABLE


def mpeg4_role(data: bytes) -> PacketRole:
    """Two pictures in one packet (the packed B pictures of DivX) are refused, as one packet is then not one frame."""
    pictures = [payload for code, payload in _units(data) if code == _VOP and payload]
    if len(pictures) != 1:
        return PacketRole.UNUSABLE
    match pictures[0][0] >> 6:
        case 0:
            return PacketRole.ACCESS
        case 2:
            return PacketRole.LEADING
        case _:
            return PacketRole.FRAME


def _units(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Start code and what comes after it, up to the next one."""
    return ((part[0], part[1:]) for part in data.split(_START_CODE)[1:] if part)
