"""The attention formula, in the form that is fast where it runs."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

# CUDA's attention kernels launch one block column a row; more rows than this do not fit a grid.
MAX_ROWS = 65_535


def attend(
    query: Float[Tensor, "rows heads s d"], key: Float[Tensor, "rows heads n d"], value: Float[Tensor, "rows heads n d"]
) -> Float[Tensor, "rows heads s d"]:
    """Compute softmax(q k / sqrt(d)) v for any number of rows."""
    if query.is_cpu and query.dtype is not torch.float32 and torch.is_grad_enabled():
        # PyTorch's 16-bit CPU kernel is many times slower than the fp32 one in the backward pass.
        with torch.autocast("cpu", enabled=False):
            return F.scaled_dot_product_attention(query.float(), key.float(), value.float()).to(query.dtype)
    parts = zip(query.split(MAX_ROWS), key.split(MAX_ROWS), value.split(MAX_ROWS), strict=True)
    attended = [F.scaled_dot_product_attention(*part) for part in parts]
    return attended[0] if len(attended) == 1 else torch.cat(attended)
