"""Patterns of grounds, objects and hills, computed by exactly rounded operations and table look-ups."""

import functools

import torch
from torch import Tensor

from videoldm.core.random import python_random

_TILE = 64


@functools.cache
def _noise_tile() -> Tensor:
    """Return a fixed `1 1 _TILE _TILE` table of numbers in [-1, 1]."""
    draw = python_random(0, "synthetic/noise")
    return torch.tensor([draw.uniform(-1, 1) for _ in range(_TILE * _TILE)]).reshape(1, 1, _TILE, _TILE)


def _wave(u: Tensor) -> Tensor:
    """Compute a triangle wave of period 1 between -1 and 1."""
    return ((u - torch.floor(u)) - 0.5).abs() * 4 - 1


def square_wave(u: Tensor, footprint: Tensor) -> Tensor:
    """Compute a square wave of period 1, averaged over twice a sample's width `footprint` so that it cannot flicker.

    Exact up to a footprint of 0.25; beyond that it fades to 0.
    """
    return (_wave(u) / (footprint * 4).clamp(min=0.02)).clamp(-1, 1) * (1.25 - footprint).clamp(0, 1)


def smooth_noise(u: Tensor, v: Tensor) -> Tensor:
    """Compute value noise in [-1, 1]: one random number at each integer point, interpolated between them."""
    return tiled(_noise_tile().to(u.device), 0, u, v)[0]


def line_noise(u: Tensor, period: int) -> Tensor:
    """Compute value noise in [-1, 1] on a line, with period `period`."""
    table = _noise_tile().to(u.device).reshape(-1)
    whole = torch.floor(u)
    part = u - whole
    part = part * part * (3 - 2 * part)
    index = whole.int()
    left, right = table[_wrapped(index, period)], table[_wrapped(index + 1, period)]
    return left + (right - left) * part


def tiled(bank: Tensor, picture: Tensor | int, u: Tensor, v: Tensor) -> tuple[Tensor, ...]:
    """Look up the endless tiling of table `picture` of `bank` (`n c h w`) bilinearly; `u` and `v` in cells.

    Returns one tensor for each channel.
    """
    num, channels, rows, columns = bank.shape
    u0, v0 = torch.floor(u), torch.floor(v)
    fu, fv = u - u0, v - v0
    whole_u, whole_v = u0.int(), v0.int()
    left, right = _wrapped(whole_u, columns), _wrapped(whole_u + 1, columns)
    top, bottom = _wrapped(whole_v, rows) * columns, _wrapped(whole_v + 1, rows) * columns
    corners = [row + column + picture * (rows * columns) for row in (top, bottom) for column in (left, right)]
    result: list[Tensor] = []
    for channel in range(channels):
        table = bank[:, channel].reshape(num * rows * columns)
        a, b, c, d = (table[index] for index in corners)
        upper, lower = a + (b - a) * fu, c + (d - c) * fu
        result.append(upper + (lower - upper) * fv)
    return tuple(result)


def _wrapped(index: Tensor, size: int) -> Tensor:
    """Return `index` modulo `size`; integer division is slow, and most sizes are powers of two."""
    return index & (size - 1) if size & (size - 1) == 0 else index % size
