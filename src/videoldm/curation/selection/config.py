"""Selections: filters that each look at the whole dataset and are intersected, and how they are typed; torch-free."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field

from videoldm.core.config import Config, Finite
from videoldm.core.errors import InputError

ProperShare = Annotated[Fraction, Field(gt=0, lt=1)]
TEXT_AREA_MAX, WHERE = "--text-area-max", "--where"
_PAIR = re.compile(r"\s*([^\W\d]\w*)\s*=(.*)", re.DOTALL)
_NUMBER = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*(%?)\s*")


class DropLowest(Config):
    """Drops a share of the clips that have a value: of n, the floor(share * n) lowest; ties are broken by clip id."""

    kind: Literal["drop_lowest"] = "drop_lowest"
    value: str
    share: ProperShare

    @property
    def label(self) -> str:
        """The filter as it is typed."""
        return f"drop-lowest {self.value}={percent(self.share)}"


class DropHighest(Config):
    """Drops the floor(share * n) highest of n; ties are broken by clip id, the smaller one first."""

    kind: Literal["drop_highest"] = "drop_highest"
    value: str
    share: ProperShare

    @property
    def label(self) -> str:
        """The filter as it is typed."""
        return f"drop-highest {self.value}={percent(self.share)}"


class AtMost(Config):
    """Drops clips whose value is above a limit."""

    kind: Literal["at_most"] = "at_most"
    value: str
    limit: Finite

    @property
    def label(self) -> str:
        """The filter as a comparison."""
        return f"{self.value} <= {self.limit:g}"


class Where(Config):
    """Drops clips that do not satisfy a condition in SQL over the columns of `dataset`."""

    kind: Literal["where"] = "where"
    sql: str = Field(min_length=1)

    @property
    def label(self) -> str:
        """The filter on one line."""
        return f"where {' '.join(self.sql.split())}"


Filter = Annotated[DropLowest | DropHighest | AtMost | Where, Field(discriminator="kind")]


class Selection(Config):
    """Clips that pass all `filters`; clips without a value that a filter needs are dropped, unless `keep_missing`."""

    filters: tuple[Filter, ...] = Field(min_length=1)
    keep_missing: bool = False


def percent(share: Fraction) -> str:
    """Return a share as people write it, exactly: 25%, 12.5%, or 1/3 if it is not a finite decimal."""
    hundredths = share * 100
    rounded = f"{float(hundredths):.10g}"
    return f"{rounded}%" if Fraction(rounded) == hundredths else str(share)


SHARES = {"--drop-lowest": DropLowest, "--drop-highest": DropHighest}
FILTERS = (*SHARES, TEXT_AREA_MAX, WHERE)


def split_filters(words: Sequence[str]) -> tuple[tuple[Filter, ...], list[str]]:
    """Split the words of a command line into filters, in their order, and the other words.

    A share option takes all `NAME=SHARE` words that follow. Raises InputError with one line for what is wrong.
    """
    filters: list[Filter] = []
    others: list[str] = []
    remaining = list(words)
    while remaining:
        word = remaining.pop(0)
        typed, sign, value = word.partition("=")
        option = typed.replace("_", "-")
        if word == "--":
            others += [word, *remaining]
            break
        if option in FILTERS:
            values = [value] if sign else _values(option, remaining)
            filters += [_filter(option, item) for item in values]
        else:
            others.append(word)
    return tuple(filters), others


def parse_share(text: str, *, name: str) -> Fraction:
    """Parse `25%` or `0.25` exactly; raises InputError, about `name`, unless it lies between 0 and 1."""
    share = _number(text)
    if share is None or not 0 < share < 1:
        raise InputError(f"{name} is {text!r}, it should be a share between 0 and 1 such as 25% or 0.25")
    return share


def _values(option: str, remaining: list[str]) -> list[str]:
    """Take the words that belong to an option off the remaining ones."""
    values: list[str] = []
    while remaining and (not values or (option in SHARES and _PAIR.fullmatch(remaining[0]))):
        if remaining[0].startswith("--"):
            break
        values.append(remaining.pop(0))
    if not values:
        raise InputError(f"{option}: its value is missing")
    return values


def _filter(option: str, value: str) -> Filter:
    if option == WHERE:
        if not value.strip():
            raise InputError(f"{option} is {value!r}, it should be a condition such as 'duration_s > 2'")
        return Where(sql=value)
    if option == TEXT_AREA_MAX:
        limit = _number(value)
        if limit is None or limit > 1:
            raise InputError(f"{option} is {value!r}, it should be a share of the frame such as 0.07")
        return AtMost(value="text_area", limit=float(limit))
    pair = _PAIR.fullmatch(value)
    if pair is None:
        raise InputError(f"{option} is {value!r}, it should be NAME=SHARE such as motion=25%")
    return SHARES[option](value=pair[1], share=parse_share(pair[2], name=f"{option} {pair[1]}"))


def _number(text: str) -> Fraction | None:
    match = _NUMBER.fullmatch(text)
    return Fraction(match[1]) / (100 if match[2] else 1) if match else None
