"""What a packet is to a decoder that may begin anywhere."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum


class PacketRole(IntEnum):
    """What a packet holds."""

    FRAME = 0
    """A frame that may refer to earlier ones."""
    ACCESS = 1
    """A frame that refers to no other. No frame refers to what came before it, except LEADING ones."""
    SPLICE = 2
    """As ACCESS, where the stream says that what came before does not go on here."""
    LEADING = 3
    """If shown before the access point that it comes after, it may refer further back, and can be left out.

    No frame refers to it that is shown after that access point.
    """
    HIDDEN = 4
    """What later frames refer to, but is not shown itself."""
    UNUSABLE = 5
    """Damaged, without a time, or in need of another header: no span goes beyond it."""


RoleReader = Callable[[bytes], PacketRole]
"""The role of a packet from its bytes; UNUSABLE where they cannot be understood."""
