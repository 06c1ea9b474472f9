"""Initial values of parameters."""

from torch import nn


def zero_parameters(module: nn.Module) -> None:
    """Set all parameters of a module to zero, so that its branch starts as nothing."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
