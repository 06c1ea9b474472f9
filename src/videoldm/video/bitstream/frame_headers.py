"""Formats whose packets begin with a header that describes the frame: VP8, VP9, AV1, FFV1, MPEG-1, MPEG-2, MPEG-4.

In MPEG-1, MPEG-2 and MPEG-4 part 2 a P picture refers to the I or P picture before it, a B picture to those on both of
its sides, and nothing refers to a B picture. Decoding can therefore begin at any I picture if the B pictures are left
out that follow it but are shown before it. Those of a closed group could be decoded, and are left out as well: a clip
begins with its access point.
"""

from __future__ import annotations

from collections.abc import Iterator

from videoldm.video.bitstream.roles import PacketRole, RoleReader

_VP8_KEY_START_CODE = b"\x9d\x01\x2a"
_OBU_SEQUENCE_HEADER, _OBU_TEMPORAL_DELIMITER, _OBU_FRAME_HEADER, _OBU_FRAME = 1, 2, 3, 6
_START_CODE = b"\0\0\1"
_PICTURE, _SEQUENCE = 0x00, 0xB3
_VOP = 0xB6
# Threshold of FFV1's range coder on the first two bytes, for a bit of even odds (RFC 9043, 3.8.1).
_FFV1_EVEN_ODDS = 0x7F80


def vp8_role(data: bytes) -> PacketRole:
    """Return the role of a VP8 packet (RFC 6386, 9.1): a key frame replaces all references and resets probabilities."""
    if len(data) < 3:
        return PacketRole.UNUSABLE
    is_key, is_shown = not data[0] & 1, bool(data[0] & 16)
    if is_key and data[3:6] != _VP8_KEY_START_CODE:
        return PacketRole.UNUSABLE
    if not is_shown:
        return PacketRole.HIDDEN
    return PacketRole.ACCESS if is_key else PacketRole.FRAME


def vp9_role(data: bytes) -> PacketRole:
    """Return the role of a VP9 packet, by the first frame of a superframe (VP9 specification, 6.2, annex B)."""
    frames = [_vp9_frame(frame) for frame in _vp9_frames(data)]
    if not frames or None in frames:
        return PacketRole.UNUSABLE
    known = [frame for frame in frames if frame is not None]
    if not any(is_shown for _, is_shown in known):
        return PacketRole.HIDDEN
    return PacketRole.ACCESS if known[0][0] else PacketRole.FRAME


def _vp9_frames(data: bytes) -> Iterator[bytes]:
    if data and data[-1] & 0xE0 == 0xC0:
        num_frames, num_bytes = (data[-1] & 7) + 1, (data[-1] >> 3 & 3) + 1
        index_size = 2 + num_frames * num_bytes
        if len(data) >= index_size and data[-index_size] == data[-1]:
            place, position = len(data) - index_size + 1, 0
            for _ in range(num_frames):
                size = int.from_bytes(data[place : place + num_bytes], "little")
                if size:
                    yield data[position : position + size]
                place, position = place + num_bytes, position + size
            return
    yield data


def _vp9_frame(data: bytes) -> tuple[bool, bool] | None:
    """Return whether it is a key frame and whether it is shown; None if it is not VP9 or not complete."""
    if not data or data[0] >> 6 != 2:
        return None
    bits = f"{int.from_bytes(data[:2].ljust(2, bytes(1)), 'big'):016b}"
    profile = int(bits[3] + bits[2], 2)
    place = 5 if profile == 3 else 4
    if bits[place] == "1":
        return False, True  # shows an earlier frame
    return bits[place + 1] == "0", bits[place + 2] == "1"


def av1_role_reader(header: bytes) -> RoleReader:
    """Return the reader of an AV1 stream's roles: a key frame shown at once resets everything.

    Decoding cannot begin at a key frame that is shown later (a delayed random access point): frames shown before it may
    refer further back. AV1 bitstream specification, 5.9.2 and 7.6.2.
    """
    in_header = header[4:] if header[:1] == b"\x81" else header

    def role(data: bytes) -> PacketRole:
        units = list(_obus(data))
        frame = next((payload for kind, payload in units if kind in (_OBU_FRAME_HEADER, _OBU_FRAME)), b"")
        if not frame:
            return PacketRole.UNUSABLE
        sequences = [payload for kind, payload in [*units, *_obus(in_header)] if kind == _OBU_SEQUENCE_HEADER]
        if sequences and sequences[0] and sequences[0][0] >> 3 & 1:  # reduced_still_picture_header
            return PacketRole.ACCESS
        is_old, frame_type, is_shown = frame[0] >> 7, frame[0] >> 5 & 3, frame[0] >> 4 & 1
        return PacketRole.ACCESS if not is_old and frame_type == 0 and is_shown else PacketRole.FRAME

    return role


def av1_content(data: bytes) -> tuple[tuple[int, bytes], ...]:
    """Return the units of a packet without framing and temporal delimiters, which mp4 and Matroska leave out."""
    return tuple(unit for unit in _obus(data) if unit[0] != _OBU_TEMPORAL_DELIMITER)


def _obus(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield kind and payload of each unit; ends where a length points beyond the packet."""
    position = 0
    while position < len(data):
        first = data[position]
        position += 2 if first & 4 else 1
        size = len(data) - position
        if first & 2:
            size, position = _leb128(data, position)
        if position + size > len(data):
            return
        yield first >> 3 & 15, data[position : position + size]
        position += size


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    """Return a number stored in 7 bits a byte, the lowest first, and its end."""
    value = 0
    for index, byte in enumerate(data[position : position + 8]):
        value |= (byte & 127) << 7 * index
        if not byte & 128:
            return value, position + index + 1
    return len(data), position


def ffv1_role(data: bytes) -> PacketRole:
    """Return the role of an FFV1 packet: its first bit says whether the coder's states are reset (RFC 9043, 4.4)."""
    if len(data) < 2:
        return PacketRole.UNUSABLE
    return PacketRole.ACCESS if int.from_bytes(data[:2], "big") >= _FFV1_EVEN_ODDS else PacketRole.FRAME


def mpeg12_role(data: bytes) -> PacketRole:
    """Return the role of an MPEG-1 or MPEG-2 packet (ISO/IEC 13818-2, 6.2).

    An I picture is an access point only after a sequence header, which holds the quantisation matrices.
    """
    has_sequence = False
    for code, payload in _mpeg_units(data):
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
    """Return the role of an MPEG-4 part 2 packet (ISO/IEC 14496-2, 6.2).

    Two pictures in one packet (the packed B pictures of DivX) are unusable, as a packet is then not one frame.
    """
    pictures = [payload for code, payload in _mpeg_units(data) if code == _VOP and payload]
    if len(pictures) != 1:
        return PacketRole.UNUSABLE
    match pictures[0][0] >> 6:
        case 0:
            return PacketRole.ACCESS
        case 2:
            return PacketRole.LEADING
        case _:
            return PacketRole.FRAME


def _mpeg_units(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each start code and the bytes up to the next one."""
    return ((part[0], part[1:]) for part in data.split(_START_CODE)[1:] if part)
