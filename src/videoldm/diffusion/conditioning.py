"""The type through which every condition reaches a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Conditioning:
    """Named, typed conditions of a batch of clips; unused fields are None.

    context: tokens of the spatial cross-attention, one set for each clip.
    temporal_context: tokens of the temporal cross-attention; None means `context`.
    vector: one embedding for each frame, an expanded view where it is constant over the clip.
    concat: latents, or frames of the latents' size, concatenated to the network's input on the channel axis.
    noise_index: index of the noise level that `concat` was noised to, for models conditioned on it.
    frame_mask: 1 where a frame is given as a condition.
    image_only: True where a frame is a picture of its own, which temporal layers leave unchanged.
    """

    context: Float[Tensor, "b n d"] | None = None
    temporal_context: Float[Tensor, "b m d"] | None = None
    vector: Float[Tensor, "b t e"] | None = None
    concat: Float[Tensor, "b t c h w"] | None = None
    noise_index: Int[Tensor, " b"] | None = None
    frame_mask: Float[Tensor, "b t"] | None = None
    image_only: Bool[Tensor, "b t"] | None = None

    @property
    def temporal_tokens(self) -> Float[Tensor, "b m d"] | None:
        """Tokens of the temporal cross-attention: its own, or else those of the spatial one."""
        return self.context if self.temporal_context is None else self.temporal_context

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Conditioning:
        """Move all fields to a device and the floating-point ones to a dtype."""
        return self._map(lambda value: value.to(device=device, dtype=dtype if value.is_floating_point() else None))

    def replace(self, **changes: Tensor | None) -> Conditioning:
        """Return a copy with some fields changed."""
        return replace(self, **changes)

    def zeros(self, *names: str) -> Conditioning:
        """Return a copy whose named fields are all zeros; a field that is None stays None."""
        values = {name: getattr(self, name) for name in names}
        return replace(self, **{name: torch.zeros_like(v) for name, v in values.items() if v is not None})

    def __getitem__(self, rows: slice | Sequence[int] | Tensor) -> Conditioning:
        """Select clips of the batch by a slice, a list of indices or an index tensor."""
        return self._map(lambda value: value[rows])

    @staticmethod
    def cat(parts: Sequence[Conditioning]) -> Conditioning:
        """Concatenate batches of clips.

        Raises ValueError if a field is given in some parts and missing in others.
        """
        joined: dict[str, Tensor] = {}
        for name in FIELDS:
            values = [getattr(part, name) for part in parts]
            given = [value for value in values if value is not None]
            if given and len(given) < len(values):
                raise ValueError(f"Conditioning.cat: '{name}' is given in {len(given)} of {len(values)} parts")
            if given:
                joined[name] = torch.cat(given)
        return Conditioning(**joined)

    def _map(self, function: Callable[[Tensor], Tensor]) -> Conditioning:
        values = {name: getattr(self, name) for name in FIELDS}
        return Conditioning(**{name: function(value) for name, value in values.items() if value is not None})


FIELDS = tuple(field.name for field in fields(Conditioning))
