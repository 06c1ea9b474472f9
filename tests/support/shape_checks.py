"""What jaxtyping's import hook does to each function of the package while tests run."""

from __future__ import annotations

import functools
import re
import typing
from collections.abc import Callable
from typing import Any

import jaxtyping
from beartype import beartype
from jaxtyping import AbstractArray, AbstractDtype, install_import_hook


def check_shapes_of_package() -> None:
    """Install the hook; it has to be there before the first import of videoldm.

    Functions without shapes stay as they are: jaxtyping would wrap them too, and half of what tests take would be spent
    in wrappers that check nothing.
    """
    wrap = jaxtyping.jaxtyped

    @functools.wraps(wrap)
    def wrap_if_shaped(*args: Any, **kwargs: Any) -> Any:
        if args or "typechecker" not in kwargs:
            return wrap(*args, **kwargs)
        return lambda function: wrap(function, **kwargs) if has_shapes(function) else function

    jaxtyping.jaxtyped = wrap_if_shaped
    install_import_hook("videoldm", "shape_checks.check_shapes")


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


def has_shapes(it: Any) -> bool:
    """Whether a function, or the arguments of a dataclass, may carry a shape; annotations may be source text."""
    function = it.__init__ if isinstance(it, type) else it
    hints = getattr(function, "__annotations__", {}).values()
    names = getattr(function, "__globals__", {})
    return any(_names_shape(hint, names) if isinstance(hint, str) else _mentions_shape(hint) for hint in hints)


def _names_shape(source: str, names: dict[str, Any]) -> bool:
    """Whether an annotation has the name of a kind of array, or one that stands for a shape."""
    for path in re.findall(r"[A-Za-z_][\w.]*", source):
        first, *rest = path.split(".")
        value = functools.reduce(lambda one, name: getattr(one, name, None), rest, names.get(first))
        if (isinstance(value, type) and issubclass(value, AbstractDtype)) or _mentions_shape(value):
            return True
    return False


def _mentions_shape(hint: object) -> bool:
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(_mentions_shape(part) for part in typing.get_args(hint))
