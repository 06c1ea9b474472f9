"""Which part of the configuration decides which table: a table is made anew when its hash changes, and only then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from videoldm.curation.config import CurationConfig
from videoldm.curation.store.dataset import config_hash


@dataclass(frozen=True)
class Hashes:
    """The hash of each table and of each annotation, by name."""

    tables: Mapping[str, str]
    annotations: Mapping[str, str]

    @classmethod
    def of(cls, config: CurationConfig) -> Hashes:
        """Those of one configuration."""
        decoded = config_hash(config.sidecar, config.cuts.candidates)
        divided = config_hash(decoded, config.cuts, config.clips)
        annotations: dict[str, str] = {}
        for one in config.annotations:
            # After those that it needs, as the configuration makes sure.
            annotations[one.name] = config_hash(decoded, one.identity(), *(annotations[name] for name in one.needs))
        for one in config.possible_comparisons:
            compared = [annotations[name] for name in one.needs if name in annotations]
            annotations[one.name] = config_hash(decoded, one.identity(), *compared)
        return cls(
            tables={
                **dict.fromkeys(("sources", "signals", "sidecars"), decoded),
                **dict.fromkeys(("transitions", "clips"), divided),
            },
            annotations=annotations,
        )
