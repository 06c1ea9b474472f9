"""The open set of annotators: the base of their configs, registration, and lookup by name.

The modules of this package are imported when a name is first looked up. An annotator elsewhere is registered when its
module is imported, as happens in a worker with the config that it receives.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from pydantic import BeforeValidator, SerializeAsAny

from videoldm.core.config import Config, validate, validate_variant
from videoldm.curation import annotators

if TYPE_CHECKING:
    import pyarrow as pa

    from videoldm.curation.annotators.annotator import Annotator

A = TypeVar("A")


class AnnotatorConfig(Config):
    """Base of every annotator's config.

    A subclass has a field `name: Literal["..."] = "..."`, which names the annotation and its table. The hash of
    `identity()`, together with the hashes of the annotations in `needs`, decides what has to be made anew.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    """Names of the annotations whose rows the annotator reads."""
    reads_metadata: ClassVar[bool] = False
    """Whether its values depend on the metadata of a source."""

    if TYPE_CHECKING:
        # Declared by subclasses alone: a field of the base would come first in dumps, and change every hash.
        name: Any = None

    @property
    @abstractmethod
    def columns(self) -> pa.Schema:
        """Names and types of the values."""

    def identity(self) -> dict[str, Any]:
        """Return what the values depend on; settings that only change how long it takes are left out."""
        return self.model_dump(mode="json")


_ANNOTATORS: dict[type[AnnotatorConfig], Callable[[Any], Annotator[Any]]] = {}


def register(config: type[AnnotatorConfig]) -> Callable[[type[A]], type[A]]:
    """Make the decorated annotator the one of `config`."""

    def decorate(annotator: type[A]) -> type[A]:
        _ANNOTATORS[config] = annotator  # pyright: ignore[reportArgumentType]
        return annotator

    return decorate


def make(config: AnnotatorConfig) -> Annotator[Any]:
    """Return a new annotator of `config`, or of the config that it inherits from; its model loads at first use."""
    known = next(base for base in type(config).__mro__ if base in _ANNOTATORS)
    return _ANNOTATORS[known](config)


def annotation_names() -> list[str]:
    """Return the names of all registered annotations, sorted."""
    return list(map(_name_of, _known_configs()))


def default_config(name: str) -> AnnotatorConfig:
    """Return the config of the annotation `name` with all its defaults; raises InputError if a field has none."""
    config = next(config for config in _known_configs() if _name_of(config) == name)
    return validate(config, {}, source=name)


def _known_configs() -> list[type[AnnotatorConfig]]:
    """Import the modules of this package, and return the configs of all registered annotators by name."""
    for module in pkgutil.iter_modules(annotators.__path__, f"{annotators.__name__}."):
        if not module.ispkg:
            importlib.import_module(module.name)
    return sorted(_ANNOTATORS, key=_name_of)


def _name_of(config: type[AnnotatorConfig]) -> str:
    return config.model_fields["name"].default


def _parse(value: Any) -> Any:
    """Turn a mapping into the config that its `name` asks for."""
    return validate_variant(value, _known_configs(), discriminator="name")


AnnotationConfig = Annotated[SerializeAsAny[AnnotatorConfig], BeforeValidator(_parse)]
"""Config of any registered annotation; in YAML its `name` says which."""
