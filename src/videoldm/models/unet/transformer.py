"""The spatio-temporal transformer: attention within each frame, then along time for each position."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from videoldm.models.chunks import numbers_at_once
from videoldm.models.layers import Merge, attend, zero_parameters
from videoldm.models.unet.conditions import BlockConditions, EmbeddingMLP, sinusoids
from videoldm.models.unet.config import AttentionSizes, UNetConfig


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
        """Values of the hidden layer to compute at a time; None suits them to the device."""
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


class TransformerLayer(nn.Module):
    """Self-attention, cross-attention and feed-forward network, each after layer norm and around a skip connection.

    Without self-attention, the first attention reads the context too.
    """

    def __init__(self, channels: int, *, head_channels: int, context_dim: int, has_self_attention: bool = True) -> None:
        super().__init__()
        self.has_self_attention = has_self_attention
        self.norm1 = nn.LayerNorm(channels)
        self.self_attention = Attention(
            channels, head_channels=head_channels, context_dim=None if has_self_attention else context_dim
        )
        self.norm2 = nn.LayerNorm(channels)
        self.cross_attention = Attention(channels, head_channels=head_channels, context_dim=context_dim)
        self.norm3 = nn.LayerNorm(channels)
        self.feed_forward = FeedForward(channels)

    def forward(self, tokens: Float[Tensor, "rows s c"], context: Float[Tensor, "b n d"]) -> Float[Tensor, "rows s c"]:
        """Transform tokens; rows of one clip are consecutive and share its context."""
        if self.has_self_attention:
            tokens = tokens + self.self_attention(self.norm1(tokens))
        else:
            tokens = _attend_context(tokens, context, self.norm1, self.self_attention)
        tokens = _attend_context(tokens, context, self.norm2, self.cross_attention)
        return tokens + self.feed_forward(self.norm3(tokens))


class TemporalTransformerLayer(TransformerLayer):
    """A transformer layer along time, with one more feed-forward network before it."""

    def __init__(self, channels: int, *, head_channels: int, context_dim: int) -> None:
        super().__init__(channels, head_channels=head_channels, context_dim=context_dim)
        self.norm_in = nn.LayerNorm(channels)
        self.feed_forward_in = FeedForward(channels)

    def forward(self, tokens: Float[Tensor, "rows s c"], context: Float[Tensor, "b n d"]) -> Float[Tensor, "rows s c"]:
        """Transform tokens; a row holds all frames of one position."""
        tokens = tokens + self.feed_forward_in(self.norm_in(tokens))
        return super().forward(tokens, context)


class SpatioTemporalTransformer(nn.Module):
    """Transformer layers within each frame, each followed by one along time and their merge.

    Without `temporal` layers it is the image model's transformer. (SVD, D.2; Video LDM, section 3.1)
    """

    def __init__(self, config: UNetConfig, channels: int, attention: AttentionSizes) -> None:
        super().__init__()
        sizes = {"head_channels": attention.head_channels, "context_dim": config.context_dim}
        depth = range(config.transformer_depth)
        self.norm = nn.GroupNorm(config.norm_groups, channels, eps=1e-6)
        self.project_in = nn.Linear(channels, channels)
        self.spatial = nn.ModuleList(
            TransformerLayer(channels, has_self_attention=attention.has_self_attention, **sizes) for _ in depth
        )
        self.project_out = nn.Linear(channels, channels)
        zero_parameters(self.project_out)
        self.has_time = config.temporal_layers is not None
        if config.temporal_layers is not None:
            self.frame_period = config.temporal_layers.frame_embedding_period
            self.frame_embedding = EmbeddingMLP(channels, 4 * channels, channels)
            self.temporal = nn.ModuleList(TemporalTransformerLayer(channels, **sizes) for _ in depth)
            self.merge = Merge(weighted="spatial", init=config.temporal_layers.merge_init)

    def forward(self, frames: Float[Tensor, "bt c h w"], conditions: BlockConditions) -> Float[Tensor, "bt c h w"]:
        """Transform frames around a skip connection."""
        tokens = self.project_in(self.norm(frames).flatten(2).transpose(1, 2))
        tokens = self._video_layers(tokens, conditions) if self.has_time else self._image_layers(tokens, conditions)
        update = self.project_out(tokens).transpose(1, 2)
        return frames + update.unflatten(2, frames.shape[2:])

    def _image_layers(self, tokens: Tensor, conditions: BlockConditions) -> Float[Tensor, "bt s c"]:
        for layer in self.spatial:
            tokens = layer(tokens, conditions.context)
        return tokens

    def _video_layers(self, tokens: Tensor, conditions: BlockConditions) -> Float[Tensor, "bt s c"]:
        indices = torch.arange(conditions.num_frames, device=tokens.device)
        position = sinusoids(indices, tokens.shape[2], period=self.frame_period).to(tokens.dtype)
        position = self.frame_embedding(position)
        for spatial, temporal in zip(self.spatial, self.temporal, strict=True):
            tokens = spatial(tokens, conditions.context)
            # Rows of the temporal layer are positions: b*t s c -> b*s t c, and back.
            rows = (tokens.unflatten(0, (-1, conditions.num_frames)).transpose(1, 2) + position).flatten(0, 1)
            rows = temporal(rows, conditions.temporal_context)
            through_time = rows.unflatten(0, (-1, tokens.shape[1])).transpose(1, 2).flatten(0, 1)
            tokens = self.merge(tokens, through_time, conditions.image_only)
        return tokens


def _attend_context(tokens: Tensor, context: Tensor, norm: nn.Module, attention: Attention) -> Tensor:
    # All tokens of a clip are queries of one row, so that keys and values are computed once a clip.
    clips = tokens.reshape(context.shape[0], -1, tokens.shape[-1])
    if context.shape[1] == 1 and not _is_trained(norm, attention.to_q, attention.to_k):
        # The softmax over one key is 1, whatever the query. (A weight under training should not leave the graph.)
        update = attention.attend_to_one(context)
    else:
        update = attention(norm(clips), context)
    return (clips + update).view(tokens.shape)


def _is_trained(*modules: nn.Module) -> bool:
    parameters = (parameter for module in modules for parameter in module.parameters())
    return torch.is_grad_enabled() and any(parameter.requires_grad for parameter in parameters)
