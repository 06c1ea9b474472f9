"""The learned merge of what a spatial and a temporal layer say."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

Branch = Literal["spatial", "temporal"]


class Merge(nn.Module):
    """Blend two branches with one learned weight, sigmoid(mix_factor).

    `weighted` names the branch that the sigmoid multiplies: the spatial one in SVD's UNet, the temporal one in its
    decoder. Rows marked as images take the spatial branch alone, exactly. (Video LDM, section 3.1)
    """

    def __init__(self, *, weighted: Branch, init: float) -> None:
        super().__init__()
        self.weighted: Branch = weighted
        self.mix_factor = nn.Parameter(torch.tensor([init]))

    def forward(
        self,
        spatial: Float[Tensor, "bt ..."],
        temporal: Float[Tensor, "bt ..."],
        image_only: Bool[Tensor, "bt"] | None = None,
    ) -> Float[Tensor, "bt ..."]:
        """Blend the two branches of all frames."""
        share = self.spatial_share()
        if image_only is not None:
            share = torch.where(image_only, 1.0, share).view(-1, *[1] * (spatial.ndim - 1))
        return torch.lerp(temporal.to(spatial.dtype), spatial, share.to(spatial.dtype))

    def spatial_share(self) -> Float[Tensor, "1"]:
        """The weight of the spatial branch; that of the temporal one is the rest to 1."""
        share = self.mix_factor.sigmoid()
        return share if self.weighted == "spatial" else 1 - share
