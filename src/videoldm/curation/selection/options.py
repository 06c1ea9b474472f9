"""A selection as it is typed: `--drop-lowest motion=25% aesthetics=25% --text-area-max 0.07 --where SQL`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from videoldm.core.errors import InputError
from videoldm.curation.selection.config import AtMost, DropHighest, DropLowest, Filter, Selection, Where

SHARES = {"--drop-lowest": DropLowest, "--drop-highest": DropHighest}
TEXT_AREA_MAX, WHERE, KEEP_MISSING = "--text-area-max", "--where", "--keep-missing"
_PAIR = re.compile(r"\s*([^\W\d]\w*)\s*=(.*)", re.DOTALL)
_NUMBER = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*(%?)\s*")


def split_selection(words: Sequence[str]) -> tuple[Selection, list[str]]:
    """The selection in the words of a command line, filters in their order, and the words that are not about it.

    A share option takes all `NAME=SHARE` words that follow. Raises InputError with one line for what is wrong.
    """
    filters: list[Filter] = []
    others: list[str] = []
    keep_missing = False
    remaining = list(words)
    while remaining:
        word = remaining.pop(0)
        typed, sign, value = word.partition("=")
        option = typed.replace("_", "-")
        if word == "--":
            others += [word, *remaining]
            break
        if option == KEEP_MISSING:
            if sign:
                raise InputError(f"{typed} is {value!r}, it takes no value")
            keep_missing = True
        elif option in (*SHARES, TEXT_AREA_MAX, WHERE):
            values = [value] if sign else _values(option, remaining)
            filters += [_filter(option, item) for item in values]
        else:
            others.append(word)
    if not filters:
        raise InputError(f"a selection needs a filter: {', '.join([*SHARES, TEXT_AREA_MAX, WHERE])}")
    return Selection(filters=tuple(filters), keep_missing=keep_missing), others


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
