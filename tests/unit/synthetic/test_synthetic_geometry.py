"""Signed distances against distances to densely sampled surfaces, whose formulas are written here a second time."""

import math

import pytest
import torch

from videoldm.synthetic.elements import UNIT_RADIUS, UNIT_REST
from videoldm.synthetic.geometry import DISTANCES, Vector, normal
from videoldm.synthetic.vocabulary import SHAPES

NUM = 160


def grid(low, high, num=NUM):
    return torch.linspace(low, high, num, dtype=torch.float64)


def disc(radius, y):
    r, a = torch.meshgrid(radius * grid(0, 1).sqrt(), grid(0, 2 * math.pi), indexing="ij")
    return torch.stack([r * a.cos(), torch.full_like(r, y), r * a.sin()], -1).reshape(-1, 3)


def lathe(low_radius, high_radius, low_y, high_y):
    s, a = torch.meshgrid(grid(0, 1), grid(0, 2 * math.pi), indexing="ij")
    r, y = low_radius + (high_radius - low_radius) * s, low_y + (high_y - low_y) * s
    return torch.stack([r * a.cos(), y, r * a.sin()], -1).reshape(-1, 3)


def cube_surface():
    u, v = torch.meshgrid(grid(-0.42, 0.42), grid(-0.42, 0.42), indexing="ij")
    face = torch.stack([u, v, torch.full_like(u, 0.42)], -1).reshape(-1, 3)
    faces = torch.cat([face, face * torch.tensor([1.0, 1.0, -1.0])])
    return torch.cat([faces.roll(turn, dims=1) for turn in range(3)])


def sphere_surface():
    a, b = torch.meshgrid(grid(0, 2 * math.pi), grid(0, math.pi), indexing="ij")
    return 0.5 * torch.stack([a.cos() * b.sin(), b.cos(), a.sin() * b.sin()], -1).reshape(-1, 3)


def torus_surface():
    a, b = torch.meshgrid(grid(0, 2 * math.pi), grid(0, 2 * math.pi), indexing="ij")
    ring = 0.36 + 0.14 * b.cos()
    return torch.stack([ring * a.cos(), ring * a.sin(), 0.14 * b.sin()], -1).reshape(-1, 3)


SURFACES = {
    "sphere": sphere_surface,
    "cube": cube_surface,
    "cylinder": lambda: torch.cat([disc(0.36, -0.5), disc(0.36, 0.5), lathe(0.36, 0.36, -0.5, 0.5)]),
    "cone": lambda: torch.cat([disc(0.54, -0.5), lathe(0.54, 0.0, -0.5, 0.5)]),
    "torus": torus_surface,
}


def is_inside(shape, p):
    x, y, z = p.unbind(-1)
    level = (x * x + z * z).sqrt()
    return {
        "sphere": p.norm(dim=-1) < 0.5,
        "cube": p.abs().amax(-1) < 0.42,
        "cylinder": (level < 0.36) & (y.abs() < 0.5),
        "cone": (y > -0.5) & (level < 0.54 * (0.5 - y)),
        "torus": ((x * x + y * y).sqrt() - 0.36) ** 2 + z * z < 0.14**2,
    }[shape]


def as_vector(points):
    return Vector(*points.unbind(-1))


@pytest.mark.parametrize("shape", SHAPES)
def test_distance_is_the_distance_to_the_surface(shape):
    points = torch.rand(150, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2 - 1
    nearest = torch.cdist(points, SURFACES[shape]()).amin(dim=1)
    expected = torch.where(is_inside(shape, points), -nearest, nearest)
    torch.testing.assert_close(DISTANCES[shape](as_vector(points)), expected, atol=0.012, rtol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_surface_points_have_distance_zero_and_lie_in_the_bounding_sphere(shape):
    surface = SURFACES[shape]()
    assert DISTANCES[shape](as_vector(surface)).abs().max() < 1e-6
    assert surface.norm(dim=-1).max() <= UNIT_RADIUS[shape] + 1e-9
    assert surface[:, 1].min().item() == pytest.approx(-UNIT_REST[shape], abs=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_normals_point_to_where_the_distance_grows(shape):
    surface = SURFACES[shape]()[::97].float()
    outward = normal(shape, as_vector(surface))
    moved = Vector(*(part + 0.01 * step for part, step in zip(as_vector(surface), outward, strict=True)))
    # Not exact on edges, where there is no single normal.
    assert (DISTANCES[shape](moved) - 0.01).abs().median() < 1e-4
    assert (outward.length() - 1).abs().max() < 1e-5
