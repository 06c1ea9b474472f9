"""Attention and the gated feed-forward network of the transformers."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from videoldm.models.layers.attention import attend
from videoldm.models.layers.chunks import numbers_at_once


class Attention(nn.Module):
    """Multi-head attention among tokens, or from tokens to a context if `context_dim` is given."""

    def __init__(self, channels: int, *, head_channels: int, context_dim: int | None = None) -> None:
        super().__init__()
        self.head_channels = head_channels
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context_dim or channels, channels, bias=False)
        self.to_v = nn.Linear(context_dim or channels, channels, bias=False)
        self.to_out = nn.Linear(channels, channels)

    def forward(
        self, tokens: Float[Tensor, "rows s c"], context: Float[Tensor, "rows n d"] | None = None
    ) -> Float[Tensor, "rows s c"]:
        """Return the update of each token."""
        source = tokens if context is None else context
        query, key, value = (self._split_heads(x) for x in (self.to_q(tokens), self.to_k(source), self.to_v(source)))
        return self.to_out(attend(query, key, value).transpose(1, 2).flatten(2))

    def attend_to_one(self, context: Float[Tensor, "rows 1 d"]) -> Float[Tensor, "rows 1 c"]:
        """Return the update of all tokens if there is but one token to attend to."""
        return self.to_out(self.to_v(context))

    def _split_heads(self, x: Float[Tensor, "rows s c"]) -> Float[Tensor, "rows heads s d"]:
        return x.unflatten(2, (-1, self.head_channels)).transpose(1, 2)


class FeedForward(nn.Module):
    """A feed-forward network whose hidden layer is gated by GELU (GEGLU)."""

    def __init__(self, channels: int, *, expansion: int = 4) -> None:
        super().__init__()
        self.numbers_at_once: int | None = None
        """Of the hidden layer; None suits them to the device."""
        self.project_in = nn.Linear(channels, 2 * expansion * channels)
        self.project_out = nn.Linear(expansion * channels, channels)

    def forward(self, tokens: Float[Tensor, "rows s c"]) -> Float[Tensor, "rows s c"]:
        """Return the update of each token; without gradients a part of them at a time, to the same result."""
        if torch.is_grad_enabled():
            return self._update(tokens)
        flat = tokens.flatten(0, 1)
        update = torch.empty_like(flat)
        is_large = not tokens.is_cpu or torch.compiler.is_compiling()  # loops are written out in compiled code
        numbers = self.numbers_at_once or numbers_at_once("cuda" if is_large else "cpu")
        num_rows = max(1, numbers // self.project_in.out_features)
        for rows, place in zip(flat.split(num_rows), update.split(num_rows), strict=True):
            place.copy_(self._update(rows))
        return update.view(tokens.shape)

    def _update(self, tokens: Float[Tensor, "*rows c"]) -> Float[Tensor, "*rows c"]:
        hidden, gate = self.project_in(tokens).chunk(2, dim=-1)
        return self.project_out(hidden * F.gelu(gate))
