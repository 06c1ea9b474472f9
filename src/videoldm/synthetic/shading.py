"""The colour that each ray sees: sky and hills, the ground behind haze, lit and textured objects."""

from collections.abc import Sequence

import torch
from torch import Tensor

from videoldm.synthetic.elements import Scene
from videoldm.synthetic.ground import ground, per_frame
from videoldm.synthetic.shapes import normal
from videoldm.synthetic.stage import Stage
from videoldm.synthetic.textures import line_noise, smooth_noise, square_wave
from videoldm.synthetic.trace import Hits, Patch
from videoldm.synthetic.vector import Vector
from videoldm.synthetic.vocabulary import COLOURS, TEXTURES

HAZE_DISTANCE = 24.0


def shade(stage: Stage, rays: Vector, hits: Hits, pictures: Tensor | None) -> list[Tensor]:
    """Red, green and blue `f h w` of each ray, about 0 to 1."""
    is_sky = hits.object_index < 0
    haze = hits.depth / (hits.depth + HAZE_DISTANCE)
    horizon = per_frame([scene.backdrop.sky[0] for scene in stage.scenes], stage)
    colour = [
        torch.where(is_sky, above, below + (far - below) * haze)
        for above, below, far in zip(_sky(stage, rays), ground(stage, rays, hits, pictures), horizon, strict=True)
    ]
    for patch in hits.patches:
        seen = patch.visible(hits)
        for channel, value in zip(colour, _surface(stage.scenes, seen), strict=True):
            channel.view(-1)[seen.pixel] = value
    return colour


def _sky(stage: Stage, rays: Vector) -> list[Tensor]:
    """A gradient above a line of hills, which are infinitely far away: they show how the camera turns."""
    drops = [scene.backdrop for scene in stage.scenes]
    columns = per_frame([(*d.sky[0], *d.sky[1], d.hill_height, d.hill_phase) for d in drops], stage)
    low, high, hill_height, hill_phase = columns[:3], columns[3:6], columns[6], columns[7]
    level = torch.sqrt(rays.x * rays.x + rays.z * rays.z)
    elevation = rays.y / level
    # A compass that needs no arctangent: it runs from 0 to 4 around the horizon.
    quarter = rays.z / (rays.x.abs() + rays.z.abs())
    place = torch.where(rays.x >= 0, 1 - quarter, 3 + quarter) + hill_phase * 4
    ridge = hill_height * (1 + line_noise(place * 6, 24) + 0.5 * line_noise(place * 16, 64))
    is_hill = elevation < ridge
    blend = (elevation * 1.6).clamp(0, 1)
    return [torch.where(is_hill, a * 0.8, a + (b - a) * blend) for a, b in zip(low, high, strict=True)]


def _surface(scenes: Sequence[Scene], patch: Patch) -> list[Tensor]:
    """Lambert shading with ambient light."""
    bodies = patch.bodies
    table = torch.tensor([_looks(scene, bodies.slot) for scene in scenes], device=patch.depth.device)
    of_ray = table[bodies.scene[patch.entry]].unbind(dim=1)
    rgb, light, ambient, texture = of_ray[:3], Vector(*of_ray[3:6]), of_ray[6], of_ray[7:]
    facing = bodies.rotation.at(patch.entry).apply(normal(bodies.shape, patch.point)).dot(light)
    brightness = ambient + (1.05 - ambient) * facing.clamp(min=0) + 0.12 * facing.clamp(max=0)
    brightness = brightness * (1 - _texture(patch.point, *texture))
    return [channel * brightness for channel in rgb]


def _looks(scene: Scene, slot: int) -> tuple[float, ...]:
    """Colour, light and texture of object `slot` as a table row."""
    if slot >= len(scene.objects):
        return (0.0,) * 11
    body, drop = scene.objects[slot], scene.backdrop
    rgb = (value * body.tint for value in COLOURS[body.colour])
    texture = (TEXTURES.index(body.texture), body.texture_contrast, body.texture_frequency, body.texture_phase)
    return (*rgb, *drop.light, drop.ambient, *map(float, texture))


def _texture(point: Vector, kind: Tensor, contrast: Tensor, frequency: Tensor, phase: Tensor) -> Tensor:
    """How much of the base colour the texture takes away at `point` of the body, 0 to `contrast`."""
    slant = (0.75 * point.x + 0.55 * point.y + 0.36 * point.z) * frequency + phase
    stripes = 0.5 + 0.5 * square_wave(slant, torch.full_like(slant, 0.1))
    u = (point.x + 0.71 * point.z) * frequency * 2 + phase * 64
    v = (point.y - 0.43 * point.z) * frequency * 2
    speckle = (0.5 + 0.9 * smooth_noise(u, v)).clamp(0, 1)
    is_striped, is_speckled = kind == TEXTURES.index("stripes"), kind == TEXTURES.index("speckle")
    return contrast * torch.where(is_striped, stripes, torch.where(is_speckled, speckle, 0.0))
