"""H.264 (ITU-T H.264, 7.3.1 and 7.4.1) and HEVC (ITU-T H.265, 7.4.2.2): packets are sequences of NAL units."""

from __future__ import annotations

from collections.abc import Iterator

from videoldm.video.bitstream.roles import PacketRole, RoleReader

_START_CODE = b"\0\0\1"
_H264_IDR, _H264_SEI, _H264_DELIMITER = 5, 6, 9
_HEVC_ROLES = {
    **dict.fromkeys((6, 7, 8, 9), PacketRole.LEADING),  # RADL and RASL
    **dict.fromkeys((16, 17, 18), PacketRole.SPLICE),  # BLA
    **dict.fromkeys((19, 20, 21), PacketRole.ACCESS),  # IDR_W_RADL, IDR_N_LP, CRA
}
_USER_DATA_UNREGISTERED = 5


def h264_role_reader(header: bytes) -> RoleReader:
    """Return the reader of an H.264 stream's roles: decoding begins at IDR pictures only.

    Not at an I picture with a recovery point (open GOP): what a decoder shows after starting there is not specified.
    """
    length_size = _h264_length_size(header)

    def role(data: bytes) -> PacketRole:
        kinds = (unit[0] & 31 for unit in nal_units(data, length_size) if unit)
        kind = next((kind for kind in kinds if 1 <= kind <= 5), None)
        if kind is None:
            return PacketRole.UNUSABLE
        return PacketRole.ACCESS if kind == _H264_IDR else PacketRole.FRAME

    return role


def hevc_role_reader(header: bytes) -> RoleReader:
    """Return the reader of an HEVC stream's roles: decoding begins at IDR, CRA and BLA pictures."""
    length_size = _hevc_length_size(header)

    def role(data: bytes) -> PacketRole:
        # Layers above 0 are other views, or alpha.
        base = (unit[0] >> 1 & 63 for unit in nal_units(data, length_size) if len(unit) > 2 and not _layer(unit))
        kind = next((kind for kind in base if kind < 32), None)
        return PacketRole.UNUSABLE if kind is None else _HEVC_ROLES.get(kind, PacketRole.FRAME)

    return role


def nal_units(data: bytes, length_size: int | None) -> Iterator[bytes]:
    """Yield the NAL units of a packet, each after its length in `length_size` bytes, or after a start code if None.

    Ends where a length points beyond the packet.
    """
    if length_size is None:
        yield from data.split(_START_CODE)[1:]
        return
    position = 0
    while position + length_size <= len(data):
        begin = position + length_size
        position = begin + int.from_bytes(data[position:begin], "big")
        if position > len(data):
            return
        yield data[begin:position]


def h264_content(data: bytes, header: bytes) -> tuple[bytes, ...]:
    """Return the NAL units of a packet without framing and without the note in which x264 names itself."""
    units = nal_units(data, _h264_length_size(header))
    return tuple(unit.rstrip(b"\0") for unit in units if not _is_encoder_note(unit))


def hevc_content(data: bytes, header: bytes) -> tuple[bytes, ...]:
    """Return the NAL units of a packet without framing."""
    return tuple(unit.rstrip(b"\0") for unit in nal_units(data, _hevc_length_size(header)))


def with_encoder_note(packet: bytes, first_packet: bytes, header: bytes) -> bytes:
    """Return an H.264 packet with the NAL units added in which x264 names itself in the file's first packet.

    Decoders need the name to work around the bugs of some versions, and a file holds it once. Returns the packet
    unchanged if there are no such units or it has them itself.
    """
    length_size = _h264_length_size(header)
    units = list(nal_units(packet, length_size))
    notes = [unit for unit in nal_units(first_packet, length_size) if _is_encoder_note(unit)]
    if not notes or any(map(_is_encoder_note, units)):
        return packet
    num_delimiters = int(units[0][0] & 31 == _H264_DELIMITER)
    row = [*units[:num_delimiters], *notes, *units[num_delimiters:]]
    return b"".join(_START_CODE + unit if length_size is None else _prefixed(unit, length_size) for unit in row)


def _prefixed(unit: bytes, length_size: int) -> bytes:
    return len(unit).to_bytes(length_size, "big") + unit


def _is_encoder_note(unit: bytes) -> bool:
    return len(unit) > 2 and unit[0] & 31 == _H264_SEI and unit[1] == _USER_DATA_UNREGISTERED and b"x264 - core" in unit


def _h264_length_size(header: bytes) -> int | None:
    return _length_size(header, 4)


def _hevc_length_size(header: bytes) -> int | None:
    return _length_size(header, 21)


def _length_size(header: bytes, offset: int) -> int | None:
    """Read the size of NAL lengths in avcC or hvcC (version 1); None for headers of NAL units after start codes."""
    return (header[offset] & 3) + 1 if len(header) > offset and header[0] == 1 else None


def _layer(unit: bytes) -> int:
    return (unit[0] & 1) << 5 | unit[1] >> 3
