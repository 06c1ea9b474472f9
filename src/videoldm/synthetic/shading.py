"""Shading: sky and hills, the ground with its patterns, shadows and haze, lit and textured objects."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.synthetic.elements import UNIT_REST, Backdrop, Scene
from videoldm.synthetic.geometry import Vector, normal
from videoldm.synthetic.textures import line_noise, smooth_noise, square_wave, tiled
from videoldm.synthetic.trace import Bodies, Hits, Patch, SceneBatch
from videoldm.synthetic.vocabulary import COLOURS, GROUNDS, TEXTURES

_HAZE_DISTANCE = 24.0
_HORIZON = 200.0
"""Depth at which coordinates on the ground are clamped to stay small; its pattern has faded long before."""


def shade(batch: SceneBatch, rays: Vector, hits: Hits, pictures: Tensor | None) -> list[Tensor]:
    """Return red, green and blue `f h w` of each ray, about 0 to 1."""
    is_sky = hits.object_index < 0
    haze = hits.depth / (hits.depth + _HAZE_DISTANCE)
    horizon = _per_frame([scene.backdrop.sky[0] for scene in batch.scenes], batch)
    colour = [
        torch.where(is_sky, above, below + (far - below) * haze)
        for above, below, far in zip(_sky(batch, rays), _ground(batch, rays, hits, pictures), horizon, strict=True)
    ]
    for patch in hits.patches:
        seen = patch.visible(hits)
        for channel, value in zip(colour, _surface(batch.scenes, seen), strict=True):
            channel.view(-1)[seen.pixel] = value
    return colour


def _sky(batch: SceneBatch, rays: Vector) -> list[Tensor]:
    """Shade a gradient above infinitely distant hills, which show how the camera turns."""
    drops = [scene.backdrop for scene in batch.scenes]
    columns = _per_frame([(*d.sky[0], *d.sky[1], d.hill_height, d.hill_phase) for d in drops], batch)
    low, high, hill_height, hill_phase = columns[:3], columns[3:6], columns[6], columns[7]
    level = torch.sqrt(rays.x * rays.x + rays.z * rays.z)
    elevation = rays.y / level
    # A heading without an arctangent: it runs from 0 to 4 around the horizon.
    quarter = rays.z / (rays.x.abs() + rays.z.abs())
    place = torch.where(rays.x >= 0, 1 - quarter, 3 + quarter) + hill_phase * 4
    ridge = hill_height * (1 + line_noise(place * 6, 24) + 0.5 * line_noise(place * 16, 64))
    is_hill = elevation < ridge
    blend = (elevation * 1.6).clamp(0, 1)
    return [torch.where(is_hill, a * 0.8, a + (b - a) * blend) for a, b in zip(low, high, strict=True)]


def _ground(batch: SceneBatch, rays: Vector, hits: Hits, pictures: Tensor | None) -> list[Tensor]:
    """Return red, green and blue `f h w` of the ground; values are meaningless where a ray does not hit it."""
    floor = _floor(batch, rays, hits)
    colour = [torch.zeros_like(rays.x) for _ in range(3)]
    for kind in GROUNDS:
        members = [number for number, scene in enumerate(batch.scenes) if scene.backdrop.ground == kind]
        if not members:
            continue
        drops = [batch.scenes[number].backdrop for number in members]
        first = _per_frame([drop.tones[0] for drop in drops], batch)
        second = _per_frame([drop.tones[1] for drop in drops], batch)
        numbers = [number * batch.num_frames + frame for number in members for frame in range(batch.num_frames)]
        frames = torch.tensor(numbers, device=batch.device)
        part = floor.at(frames)
        match kind:
            case "plain":
                values = [tone.expand_as(part.u) for tone in first]
            case "checker":
                values = _mix(first, second, square_wave(part.u, part.footprint) * square_wave(part.v, part.footprint))
            case "stripes":
                values = _mix(first, second, square_wave(part.u, part.footprint))
            case "speckle":
                values = _mix(first, second, _speckle(part))
            case "photo":
                values = _photo(batch, drops, part, first, pictures)
        for channel, value in zip(colour, values, strict=True):
            channel[frames] = value
    for patch in hits.patches:
        _add_shadow(colour, batch, rays, hits, patch.bodies)
    return colour


@dataclass(frozen=True)
class _Floor:
    """Points at which rays hit the ground: pattern coordinates in periods and the size of a sample there, `f h w`."""

    u: Tensor
    v: Tensor
    footprint: Tensor

    def at(self, frames: Tensor) -> "_Floor":
        return _Floor(self.u[frames], self.v[frames], self.footprint[frames])


def _floor(batch: SceneBatch, rays: Vector, hits: Hits) -> _Floor:
    drops = [scene.backdrop for scene in batch.scenes]
    cos, sin, shift_u, shift_v, period = _per_frame(
        [(math.cos(d.angle) / d.period, math.sin(d.angle) / d.period, *d.offset, d.period) for d in drops], batch
    )
    position, depth = batch.view.position.spread(), hits.depth.clamp(max=_HORIZON)
    x, z = position.x + rays.x * depth, position.z + rays.z * depth
    _, rows, _ = rays.x.shape
    footprint = depth * depth / (batch.view.focal.reshape(-1, 1, 1) * rows * position.y * period)
    return _Floor(cos * x + sin * z + shift_u * 8, cos * z - sin * x + shift_v * 8, footprint)


def _mix(first: Sequence[Tensor], second: Sequence[Tensor], pattern: Tensor) -> list[Tensor]:
    """Blend from the first colour, where `pattern` is -1, to the second, where it is 1."""
    blend = 0.5 + 0.5 * pattern
    return [a + (b - a) * blend for a, b in zip(first, second, strict=True)]


def _speckle(floor: _Floor) -> Tensor:
    """Return two layers of noise that fade where samples become wider than their grain."""
    coarse = smooth_noise(floor.u * 5, floor.v * 5) * (1.2 - 5 * floor.footprint).clamp(0, 1)
    fine = smooth_noise(floor.u * 11, floor.v * 11) * (1.2 - 11 * floor.footprint).clamp(0, 1)
    return ((coarse + 0.7 * fine) * 1.2).clamp(-1, 1)


def _photo(
    batch: SceneBatch, drops: Sequence[Backdrop], floor: _Floor, tone: Sequence[Tensor], pictures: Tensor | None
) -> list[Tensor]:
    """Tile the ground with pictures, greyed so that objects stand out, fading to `tone` in the distance."""
    if pictures is None or not len(pictures):
        raise InputError("pictures is empty, but a scene has a ground of kind 'photo': pass pictures as n 3 h w")
    bank = pictures.to(batch.device, torch.float32) * 0.5 + 0.5
    num_pictures, cells = len(bank), bank.shape[-1] / 2
    # Each picture is next to its mirror image, so that the tiling has no seams.
    bank = torch.cat([bank, bank.flip(-1)], dim=-1)
    bank = torch.cat([bank, bank.flip(-2)], dim=-2)
    chosen = _per_frame([(drop.picture % num_pictures,) for drop in drops], batch)[0].int()
    colours = tiled(bank, chosen, floor.u * cells, floor.v * cells)
    grey = (colours[0] + colours[1] + colours[2]) / 3
    fade = (1.2 - floor.footprint * 4).clamp(0, 1)
    return [t + (0.2 + 0.3 * grey + 0.25 * c - t) * fade for t, c in zip(tone, colours, strict=True)]


def _add_shadow(colour: Sequence[Tensor], batch: SceneBatch, rays: Vector, hits: Hits, bodies: Bodies) -> None:
    """Darken the ground below each body in place by a soft round spot; the higher the body, the fainter and wider."""
    drops = [scene.backdrop for scene in batch.scenes]
    rows = [(d.shadow, d.light[0] / d.light[1], d.light[2] / d.light[1]) for d in drops]
    strength, slope_x, slope_z = torch.tensor(rows, device=batch.device)[bodies.scene].unbind(dim=1)
    lift = (bodies.centre.y - bodies.size * UNIT_REST[bodies.shape]).clamp(min=0)
    origin = batch.view.position.at(bodies.frame)
    centre_x = bodies.centre.x - slope_x * (lift + 0.25 * bodies.size) - origin.x
    centre_z = bodies.centre.z - slope_z * (lift + 0.25 * bodies.size) - origin.z
    radius = bodies.size * 0.62 + lift * 0.3
    strength = strength * (1 - lift * 0.3).clamp(0.35, 1)
    depth = hits.depth[bodies.frame]
    dx = rays.x[bodies.frame] * depth - centre_x.reshape(-1, 1, 1)
    dz = rays.z[bodies.frame] * depth - centre_z.reshape(-1, 1, 1)
    inner = (1 - (dx * dx + dz * dz) / (radius * radius).reshape(-1, 1, 1)).clamp(min=0)
    light = 1 - strength.reshape(-1, 1, 1) * inner * inner * (3 - 2 * inner)
    for channel in colour:
        channel[bodies.frame] = channel[bodies.frame] * light


def _surface(scenes: Sequence[Scene], patch: Patch) -> list[Tensor]:
    """Shade a patch by Lambert's law with ambient light."""
    bodies = patch.bodies
    table = torch.tensor([_looks(scene, bodies.slot) for scene in scenes], device=patch.depth.device)
    of_ray = table[bodies.scene[patch.entry]].unbind(dim=1)
    rgb, light, ambient, texture = of_ray[:3], Vector(*of_ray[3:6]), of_ray[6], of_ray[7:]
    facing = bodies.rotation.at(patch.entry).apply(normal(bodies.shape, patch.point)).dot(light)
    brightness = ambient + (1.05 - ambient) * facing.clamp(min=0) + 0.12 * facing.clamp(max=0)
    brightness = brightness * (1 - _texture(patch.point, *texture))
    return [channel * brightness for channel in rgb]


def _looks(scene: Scene, slot: int) -> tuple[float, ...]:
    """Return colour, light and texture of object `slot` as a table row."""
    if slot >= len(scene.objects):
        return (0.0,) * 11
    body, drop = scene.objects[slot], scene.backdrop
    rgb = (value * body.tint for value in COLOURS[body.colour])
    texture = (TEXTURES.index(body.texture), body.texture_contrast, body.texture_frequency, body.texture_phase)
    return (*rgb, *drop.light, drop.ambient, *map(float, texture))


def _texture(point: Vector, kind: Tensor, contrast: Tensor, frequency: Tensor, phase: Tensor) -> Tensor:
    """Return the fraction by which the texture darkens the base colour at `point` of the body, 0 to `contrast`."""
    slant = (0.75 * point.x + 0.55 * point.y + 0.36 * point.z) * frequency + phase
    stripes = 0.5 + 0.5 * square_wave(slant, torch.full_like(slant, 0.1))
    u = (point.x + 0.71 * point.z) * frequency * 2 + phase * 64
    v = (point.y - 0.43 * point.z) * frequency * 2
    speckle = (0.5 + 0.9 * smooth_noise(u, v)).clamp(0, 1)
    is_striped, is_speckled = kind == TEXTURES.index("stripes"), kind == TEXTURES.index("speckle")
    return contrast * torch.where(is_striped, stripes, torch.where(is_speckled, speckle, 0.0))


def _per_frame(rows: Sequence[Sequence[float]], batch: SceneBatch) -> list[Tensor]:
    """Return the columns of a table with one row for each scene, as tensors `f 1 1`."""
    table = torch.tensor(rows, dtype=torch.float32, device=batch.device).repeat_interleave(batch.num_frames, dim=0)
    return [table[:, i].reshape(-1, 1, 1) for i in range(table.shape[1])]
