"""What jaxtyping's import hook does to each function of the package while tests run."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any

from beartype import beartype
from jaxtyping import AbstractArray


def check_shapes(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check the arguments and the result of `function` that carry a jaxtyping shape; leave the others to pyright.

    Checking every annotation takes longer, and beartype accepts neither `Self` in methods nor protocols that are not
    marked as checkable at run time.
    """
    with_shape = {name: hint for name, hint in function.__annotations__.items() if _mentions_shape(hint)}
    if not with_shape:
        return function
    function.__annotations__ = with_shape
    return beartype(function)


def _mentions_shape(hint: object) -> bool:
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(_mentions_shape(part) for part in typing.get_args(hint))
