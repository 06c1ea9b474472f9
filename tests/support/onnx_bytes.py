"""Small .onnx files, written byte by byte as the format's protocol buffers say, as no package that writes them is here.

Numbers of fields are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

_FLOAT, _UINT8 = 1, 2
_INT, _INTS = 2, 7
Side = int | str


def message(*fields: tuple[int, int | str | bytes]) -> bytes:
    """Each field is its number and its value; messages inside of messages are bytes."""
    return b"".join(_field(number, value) for number, value in fields)


def model(
    nodes: Sequence[bytes],
    *,
    inputs: Mapping[str, Sequence[Side]],
    outputs: Mapping[str, Sequence[Side]],
    constants: Mapping[str, np.ndarray],
    levels: Sequence[str] = (),
) -> bytes:
    """A file; sides of inputs and outputs are numbers, or names where they are open; inputs in `levels` are bytes."""
    graph = message(
        *((1, node) for node in nodes),
        (2, "graph"),
        *((5, _tensor(name, array)) for name, array in constants.items()),
        *((11, _value(name, shape, _UINT8 if name in levels else _FLOAT)) for name, shape in inputs.items()),
        *((12, _value(name, shape, _FLOAT)) for name, shape in outputs.items()),
    )
    return message((1, 8), (7, graph), (8, message((1, ""), (2, 17))))


def node(kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: int | Sequence[int]) -> bytes:
    """One operation; attributes are whole numbers or lists of them."""
    return message(
        *((1, name) for name in inputs),
        *((2, name) for name in outputs),
        (4, kind),
        *((5, _attribute(name, value)) for name, value in attributes.items()),
    )


def _attribute(name: str, value: int | Sequence[int]) -> bytes:
    if isinstance(value, int):
        return message((1, name), (3, value), (20, _INT))
    return message((1, name), *((8, one) for one in value), (20, _INTS))


def _tensor(name: str, array: np.ndarray) -> bytes:
    data = array.astype("<f4").tobytes()
    return message(*((1, side) for side in array.shape), (2, _FLOAT), (8, name), (9, data))


def _value(name: str, shape: Sequence[Side], kind: int) -> bytes:
    sides = message(*((1, message((1 if isinstance(side, int) else 2, side))) for side in shape))
    return message((1, name), (2, message((1, message((1, kind), (2, sides))))))


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])
