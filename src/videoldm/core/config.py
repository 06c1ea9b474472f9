"""The base class of all configuration, types of settings, YAML, and overrides such as `optimizer.lr=1e-4`."""

from __future__ import annotations

import functools
import inspect
import math
import operator
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pydantic
import yaml
from pydantic import AfterValidator, Field
from pydantic.fields import FieldInfo

from videoldm.core import yaml_text
from videoldm.core.errors import InputError, hint
from videoldm.core.reading import read_mapping

C = TypeVar("C", bound="Config")


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("should be odd")
    return value


Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
OddInt = Annotated[int, Field(ge=1), AfterValidator(_odd)]
"""Size of a kernel that keeps the length of its input."""
Share = Annotated[float, Field(ge=0, le=1)]
"""Fraction or probability, 0 to 1."""

GIB = 2**30
"""Bytes in a gibibyte."""

_KINDS_OF_VALUE = {
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_parsing", "float_type"), "a number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "true or false"),
}
"""What a value should be, by the type of pydantic's error."""


class Config(pydantic.BaseModel):
    """A frozen pydantic model; unknown keys and NaN are errors."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    @pydantic.model_validator(mode="after")
    def _refuse_nan(self) -> Config:
        for name in type(self).model_fields:
            value = getattr(self, name)
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, float) and math.isnan(item):
                    raise ValueError(f"{name} is NaN, it should be a number")
        return self


def validate_variant(value: Any, variants: Sequence[type[Config]], *, discriminator: str) -> Any:
    """Return the variant that a mapping describes, chosen by the value of `discriminator`; anything else as it is.

    For fields that hold any of an open set of configurations. Raises pydantic's ValidationError as a closed union does.
    """
    if not isinstance(value, Mapping):
        return value
    union: Any = functools.reduce(operator.or_, variants)
    adapter: Any = pydantic.TypeAdapter(Annotated[union, Field(discriminator=discriminator)])  # pyright: ignore[reportArgumentType, reportInvalidTypeForm]
    return adapter.validate_python(value)


def to_yaml(config: Config) -> str:
    """Return `config` as complete YAML text; `from_yaml` reads an equal config back."""
    return yaml_text.dump(config.model_dump(mode="json"))


def from_yaml(config_type: type[C], text: str, *, source: str = "config") -> C:
    """Parse a config from YAML text; raises InputError, in which `source` names the text."""
    try:
        data = yaml_text.load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{source}: is not readable as YAML, {_yaml_problem(error)}") from None
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise InputError(f"{source}: holds {_show(data)}, it should hold `key: value` lines")
    return validate(config_type, data, source=source)


def read_config(path: Path, config_type: type[C]) -> C:
    """Read a config from a JSON file; raises InputError for unknown keys and invalid values."""
    return validate(config_type, read_mapping(path), source=str(path))


def validate(config_type: type[C], data: Mapping[str, Any], *, source: str = "config") -> C:
    """Validate `data` as a config; raises InputError with one line for each problem."""
    try:
        return config_type.model_validate(data)
    except pydantic.ValidationError as error:
        raise input_error(error, config_type, data, source=source) from None


def apply_overrides(config: C, overrides: Sequence[str], *, source: str = "override") -> C:
    """Return a copy of `config` with each `dotted.key=value` of `overrides` applied.

    Values are YAML, except that text fields take the text as typed. Changing the tag of a union
    (`schedule.kind=linear`) starts from the defaults of that variant, as the old variant's fields do not apply to it.
    Raises InputError for unknown keys and invalid values.
    """
    parsed = [_parse_override(text, source) for text in overrides]
    data: dict[str, Any] = config.model_dump(mode="json")
    # Tags go first, so that the order on the command line does not matter.
    for path, text in sorted(parsed, key=lambda item: not _is_tag(_field_at(config, item[0]))):
        _put(data, path, text, field=_field_at(config, path), source=source)
    return validate(type(config), data, source=source)


def input_error(
    error: pydantic.ValidationError, config_type: type[Config], data: object, *, source: str = "config"
) -> InputError:
    """Turn pydantic's error into one line for each problem: dotted key, value, what would be right."""
    values: dict[str, str] = {}
    reasons: dict[str, dict[str, None]] = {}
    for problem in error.errors(include_url=False):
        path = _data_path(problem["loc"], data, is_missing=problem["type"] == "missing")
        key = ".".join(map(str, path))
        value, reason = _explain(problem, config_type)
        values.setdefault(key, value)
        reasons.setdefault(key, {})[reason] = None  # a union gives one reason for each of its variants
    lines = [" ".join(filter(None, (f"{source}:", key, values[key], " or ".join(reasons[key])))) for key in reasons]
    return InputError("\n".join(lines))


def _explain(problem: Any, config_type: type[Config]) -> tuple[str, str]:
    """Return the invalid value in words (may be empty) and what would be right."""
    kind: str = problem["type"]
    if kind == "missing":
        return "is missing,", _example(config_type, problem["loc"]) or "it has no default"
    if kind == "extra_forbidden":
        *parents, name = problem["loc"]
        known = sorted({name for model in _models_at(config_type, parents) for name in model.model_fields})
        return "is not a known key,", hint(str(name), known, f"known keys are {', '.join(known)}")
    if kind == "union_tag_invalid":
        context = problem["ctx"]
        tag = context["discriminator"].strip("'")
        return f"has {tag} {context['tag']!r},", f"should be one of {context['expected_tags']}"
    if kind in _KINDS_OF_VALUE:
        return f"is {_show(problem['input'])},", f"should be {_KINDS_OF_VALUE[kind]}"
    text: str = problem["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    is_rule = kind in ("value_error", "assertion_error")
    if is_rule and isinstance(problem["input"], (Mapping, pydantic.BaseModel)):
        return "", text  # a rule about several fields together names them itself
    return f"is {_show(problem['input'])},", text.removeprefix("Input ")


def _data_path(loc: Sequence[str | int], data: object, *, is_missing: bool) -> tuple[str | int, ...]:
    """Return the keys of `loc` that the user wrote, without the union tags and type names that pydantic adds."""
    path: list[str | int] = []
    for index, part in enumerate(loc):
        if isinstance(data, Mapping) and part in data:
            data = typing.cast("Mapping[Any, Any]", data)[part]
        elif isinstance(data, (list, tuple)) and isinstance(part, int) and part < len(typing.cast("list[Any]", data)):
            data = typing.cast("list[Any]", data)[part]
        elif not (is_missing and index == len(loc) - 1):
            continue
        path.append(part)
    return tuple(path)


def _example(config_type: type[Config], loc: Sequence[str | int]) -> str:
    """Return an example value of the field at pydantic's location `loc`, empty if it declares none."""
    *parents, name = loc
    for model in _models_at(config_type, parents):
        if name in model.model_fields and (examples := model.model_fields[str(name)].examples):
            return f"for example {examples[0]}"
    return ""


def _models_at(config_type: type[Config], loc: Iterable[str | int]) -> list[type[pydantic.BaseModel]]:
    """Return the config types at pydantic's location `loc`; several where a union is not resolved."""
    found: list[type[pydantic.BaseModel]] = [config_type]
    for part in loc:
        if not isinstance(part, str):
            continue
        inner = [
            model
            for outer in found
            if part in outer.model_fields
            for model in _models_in(outer.model_fields[part].annotation)
        ]
        # A part that is not a field is the tag or the name of a union's variant, or a key of a plain dict.
        found = inner or [model for model in found if part in _labels(model)] or found
    return found


def _labels(model: type[pydantic.BaseModel]) -> list[object]:
    tags = [typing.get_args(field.annotation) for field in model.model_fields.values() if _is_tag(field)]
    return [model.__name__, *(tag for values in tags for tag in values)]


def _models_in(annotation: Any) -> list[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if not issubclass(annotation, pydantic.BaseModel):
            return []
        return _concrete(annotation) if inspect.isabstract(annotation) else [annotation]
    return [model for part in typing.get_args(annotation) for model in _models_in(part)]


def _concrete(model: type[pydantic.BaseModel]) -> list[type[pydantic.BaseModel]]:
    """Return the classes that a field of an abstract model can hold: those that inherit from it."""
    inheriting = [found for inner in model.__subclasses__() for found in _concrete(inner)]
    return inheriting if inspect.isabstract(model) else [model, *inheriting]


def _parse_override(text: str, source: str) -> tuple[tuple[str, ...], str]:
    key, sign, value = text.partition("=")
    path = tuple(key.strip().removeprefix("--").split("."))
    if not sign or not all(path):
        raise InputError(f"{source}: {text!r} should look like key.path=value")
    return path, value


def _put(data: dict[str, Any], path: tuple[str, ...], text: str, *, field: FieldInfo | None, source: str) -> None:
    node: Any = data
    for depth, part in enumerate(path[:-1]):
        where = ".".join(path[: depth + 1])
        slot = _slot(node, part, where, source)
        if isinstance(node, dict) and node.get(slot) is None:
            node[slot] = {}
        node = node[slot]
        if not isinstance(node, (dict, list)):
            raise InputError(f"{source}: {where} is {_show(node)}, it has no key {path[depth + 1]!r}")
    slot = _slot(node, path[-1], ".".join(path), source)
    before = node.get(slot) if isinstance(node, dict) else node[slot]
    is_text = isinstance(before, str) and (field is None or not _models_in(field.annotation))
    value = _parse_text(text) if is_text else _parse_value(text, ".".join(path), source)
    if _is_tag(field) and value != before:
        node.clear()
    node[slot] = value


def _slot(node: dict[str, Any] | list[Any], part: str, where: str, source: str) -> Any:
    """Return `part` as an index of `node`: a key of a dict or a checked position in a list."""
    if isinstance(node, dict):
        return part
    if not part.isdecimal() or int(part) >= len(node):
        raise InputError(f"{source}: {where} is not an item of a list of {len(node)}, give 0 to {len(node) - 1}")
    return int(part)


def _parse_value(text: str, key: str, source: str) -> Any:
    try:
        return yaml_text.load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{source}: {key} is {_show(text)}, {_yaml_problem(error)}") from None


def _parse_text(text: str) -> str | None:
    """Return `text` as typed unless it is null or quoted: characters of a prompt may mean something in YAML."""
    if text.strip() in ("null", "~"):
        return None
    if text.strip()[:1] in ("'", '"'):
        try:
            value = yaml_text.load(text)
        except yaml.YAMLError:
            return text
        return value if isinstance(value, str) else text
    return text


def _field_at(config: object, path: Sequence[str]) -> FieldInfo | None:
    """Return the declaration of the field at `path`, None if no config field is there."""
    for part in path[:-1]:
        if isinstance(config, (list, tuple)):
            items = typing.cast("Sequence[object]", config)
            config = items[int(part)] if part.isdecimal() and int(part) < len(items) else None
        elif isinstance(config, Mapping):
            config = typing.cast("Mapping[str, object]", config).get(part)
        else:
            config = getattr(config, part, None)
    return type(config).model_fields.get(path[-1]) if isinstance(config, pydantic.BaseModel) else None


def _is_tag(field: FieldInfo | None) -> bool:
    """Whether the field has one possible value only, as the tags that distinguish the variants of a union have."""
    if field is None:
        return False
    return typing.get_origin(field.annotation) is typing.Literal and len(typing.get_args(field.annotation)) == 1


def _yaml_problem(error: yaml.YAMLError) -> str:
    """Shorten PyYAML's message to one line with the position."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return " ".join(str(error).split())
    mark = error.problem_mark
    return f"{error.problem} (line {mark.line + 1}, column {mark.column + 1})"


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
