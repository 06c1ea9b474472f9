"""What a selection is: filters that each look at the whole dataset, and are intersected; torch-free."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field

from videoldm.core.config import Config, Finite
from videoldm.core.errors import InputError

ProperShare = Annotated[Fraction, Field(gt=0, lt=1)]


class DropLowest(Config):
    """Drops a share of the clips that have a value: of n, the floor(share * n) lowest; equal ones by clip id."""

    kind: Literal["drop_lowest"] = "drop_lowest"
    value: str
    share: ProperShare

    @property
    def label(self) -> str:
        """As typed."""
        return f"drop-lowest {self.value}={percent(self.share)}"


class DropHighest(Config):
    """Drops the floor(share * n) highest of n; of equal ones those first that have the smaller clip id, as above."""

    kind: Literal["drop_highest"] = "drop_highest"
    value: str
    share: ProperShare

    @property
    def label(self) -> str:
        """As typed."""
        return f"drop-highest {self.value}={percent(self.share)}"


class AtMost(Config):
    """Drops what is above a limit."""

    kind: Literal["at_most"] = "at_most"
    value: str
    limit: Finite

    @property
    def label(self) -> str:
        """As a comparison."""
        return f"{self.value} <= {self.limit:g}"


class Where(Config):
    """Drops what a condition in SQL over the columns of `dataset` does not hold for."""

    kind: Literal["where"] = "where"
    sql: str = Field(min_length=1)

    @property
    def label(self) -> str:
        """On one line."""
        return f"where {' '.join(self.sql.split())}"


Filter = Annotated[DropLowest | DropHighest | AtMost | Where, Field(discriminator="kind")]


class Selection(Config):
    """Clips that pass all `filters`; one without a value that a filter needs is dropped too, unless `keep_missing`."""

    filters: tuple[Filter, ...] = Field(min_length=1)
    keep_missing: bool = False


def percent(share: Fraction) -> str:
    """A share as people write it, exactly: 25%, 12.5%, or 1/3 if it has no end as a decimal."""
    hundredths = share * 100
    rounded = f"{float(hundredths):.10g}"
    return f"{rounded}%" if Fraction(rounded) == hundredths else str(share)


SHARES = {"--drop-lowest": DropLowest, "--drop-highest": DropHighest}
TEXT_AREA_MAX, WHERE = "--text-area-max", "--where"
FILTERS = (*SHARES, TEXT_AREA_MAX, WHERE)
_PAIR = re.compile(r"\s*([^\W\d]\w*)\s*=(.*)", re.DOTALL)
_NUMBER = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*(%?)\s*")


def split_filters(words: Sequence[str]) -> tuple[tuple[Filter, ...], list[str]]:
    """The filters in the words of a command line, in their order, and the words that are not about them.

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
    """`25%` or `0.25` exactly; raises InputError unless it lies between 0 and 1 (`name` says whose it is)."""
    share = _number(text)
    if share is None or not 0 < share < 1:
        raise InputError(f"{name} is {text!r}, it should be a share between 0 and 1 such as 25% or 0.25")
    return share


def _values(option: str, remaining: list[str]) -> list[str]:
    """Takes the words that belong to an option away from those that remain."""
    values: list[str] = []
    while remaining and (not values or (option in SHARES and _PAIR.fullmatch(remaining[0]))):
        if remaining[0].startswith("--"):
            break
        values.append(remaining.pop(0))
    if not values:
        raise InputError(f"{option} has no value after it")
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
