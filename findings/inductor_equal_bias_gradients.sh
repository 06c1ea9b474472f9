#!/bin/sh
# torch.compile writes C++ that a compiler refuses where two biases get the same gradient in 16 bits.
#
# Seen with PyTorch 2.13.0 (CPU build, g++ 12.2), 2026-11-30. The outputs of two linear layers are added, one of them
# viewed in the other's shape, (14, 36, 64) and (1, 504, 64), under autocast to bfloat16. In the backward pass the sums
# over rows, which are the gradients of both biases, become one loop that declares the same variable twice:
#   views of one tensor   bfloat16: CppCompileError, "conflicting declaration 'auto at_BFloat16_tmp_acc0_vec'"
#   views of one tensor   float32: works
#   equal shapes          bfloat16: works (both gradients are one sum)
# Transformer layers meet this where attention to a single token adds the same update to all tokens of a clip.
# The script ends with 1 if this has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 setuptools==80.9.0
TORCHINDUCTOR_CACHE_DIR="$folder/cache" "$folder/env/bin/python" - <<'PYTHON'
import sys

import torch
from torch.nn import functional as F


def outcome(shape: tuple[int, ...], dtype: torch.dtype) -> str:
    torch.manual_seed(0)
    torch.compiler.reset()
    weights = [torch.randn(64, 64, requires_grad=True) for _ in range(2)]
    biases = [torch.zeros(64, requires_grad=True) for _ in range(2)]
    one, other = torch.randn(shape), torch.randn(1, 504, 64)

    def add(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return F.linear(one, weights[0], biases[0]).view(other.shape) + F.linear(other, weights[1], biases[1])

    with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
        total = torch.compile(add)(one, other)
    try:
        total.float().square().sum().backward()
    except Exception as error:
        return next((line.partition("error: ")[2] for line in str(error).splitlines() if "error: " in line), "failed")
    return "works"


found = {
    (shape, dtype): outcome(shape, dtype)
    for shape in ((14, 36, 64), (1, 504, 64))
    for dtype in (torch.bfloat16, torch.float32)
}
for (shape, dtype), what in found.items():
    print(shape, dtype, what)
broken = found.pop(((14, 36, 64), torch.bfloat16))
is_as_described = "conflicting declaration" in broken and set(found.values()) == {"works"}
sys.exit(0 if is_as_described else "this has changed")
PYTHON
