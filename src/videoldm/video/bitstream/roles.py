"""Roles of packets for a decoder that may begin anywhere."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum


class PacketRole(IntEnum):
    """Role of a packet."""

    FRAME = 0
    """A frame that may refer to earlier ones."""
    ACCESS = 1
    """A frame that refers to no other. No later frame refers to frames before it, except LEADING ones."""
    SPLICE = 2
    """An ACCESS frame at which the stream declares that what came before does not continue."""
    LEADING = 3
    """If shown before the access point that it comes after, it may refer further back, and can be left out.

    No frame refers to it that is shown after that access point.
    """
    HIDDEN = 4
    """A frame that later frames refer to, but that is not shown itself."""
    UNUSABLE = 5
    """Damaged, without a time, or in need of another header: no span goes beyond it."""


RoleReader = Callable[[bytes], PacketRole]
"""Returns the role of a packet from its bytes; UNUSABLE if they cannot be parsed."""
