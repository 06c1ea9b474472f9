"""Published models that turn around an object: SV3D, as the official script samples it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from videoldm.conditioners.config import SV3D_P_CAMERA, SV3D_U_MICRO
from videoldm.diffusion.config import Guidance, Karras, Triangle
from videoldm.tasks.config import SamplingConfig, SignalDefaults, TaskModelConfig

SV3D_U = TaskModelConfig(
    task="multi-view",
    num_frames=21,
    height=576,
    width=576,
    micro=SV3D_U_MICRO,
    signals=SignalDefaults(noise_level=1e-5),
    sampling=SamplingConfig(
        num_inference_steps=50,
        schedule=Karras(),
        guidance=Guidance(scale=Triangle(min_scale=1.0, max_scale=2.5)),
    ),
)
"""Turns at the elevation of the picture."""
SV3D_P = SV3D_U.model_copy(update={"camera": SV3D_P_CAMERA})
"""Looks from where it is told to."""
DEFAULTS: Mapping[str, TaskModelConfig] = MappingProxyType({"sv3d-u": SV3D_U, "sv3d-p": SV3D_P})
