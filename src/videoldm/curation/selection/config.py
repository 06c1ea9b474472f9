"""What a selection is: filters that each look at the whole dataset, and are intersected; torch-free."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field

from videoldm.core.config import Config
from videoldm.core.numbers import Finite

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
