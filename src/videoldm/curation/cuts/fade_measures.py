"""What fades are judged by: in a fade the shot pales as it is, and nothing of it is left at the end."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from videoldm.curation.cuts.config import VeilConfig
from videoldm.curation.cuts.fades_and_flashes import corners
from videoldm.curation.cuts.footage import Footage
from videoldm.curation.cuts.judges import Measures, columns_of, judge
from videoldm.curation.cuts.measures import correlations, step_energies
from videoldm.curation.cuts.signals import NUM_LUMA
from videoldm.curation.cuts.transition import FrameTransition

_WHITE = 128.0


def probable_fades(footage: Footage, veils: Sequence[FrameTransition], config: VeilConfig) -> list[FrameTransition]:
    """Return the veils without the fades that are improbable; flashes are not judged.

    A fade_out and the fade_in that follows it at once are as probable as the more probable of them.
    """
    fades = [one for one in veils if one.kind != "flash"]
    if not fades:
        return list(veils)
    measures = measure_fades(footage, fades)
    probabilities = judge("fade").probabilities(measures)
    # A picture without anything in it is no shot, however it comes about.
    is_probable = ((probabilities >= config.least_probability) | (measures["emptiness"] <= config.empty)).tolist()
    follows = [one.kind == "fade_out" and one.end == other.first for one, other in itertools.pairwise(fades)]
    whole = [
        here or (before and is_probable[at - 1]) or (after and is_probable[at + 1])
        for at, (here, before, after) in enumerate(zip(is_probable, [False, *follows], [*follows, False], strict=True))
    ]
    improbable = {one for one, is_kept in zip(fades, whole, strict=True) if not is_kept}
    return [one for one in veils if one not in improbable]


def measure_fades(footage: Footage, fades: Sequence[FrameTransition]) -> Measures:
    """Return the measures of each `fade_out` and `fade_in`."""
    return columns_of([_measures(footage, one) for one in fades])


def _measures(footage: Footage, fade: FrameTransition) -> dict[str, float]:
    shown, empty, middle = _frames(footage, fade)
    luma = footage.luma[[shown, empty, middle]].astype(np.float32)
    means, steps = luma.mean(axis=(1, 2)), step_energies(luma[None])[0]
    contrasts = footage.coarse[[shown, empty], :NUM_LUMA][:, ~corners()].std(axis=1, dtype=np.float32)
    inside = footage.luma[fade.first : fade.end].mean(axis=(1, 2))
    path = np.abs(np.diff(inside)).sum()
    return {
        "length_s": float(footage.times[min(fade.end, len(footage) - 1)] - footage.times[fade.first]),
        "height": float(abs(means[0] - means[1])),
        "is_white": float(means[1] > _WHITE),
        "emptiness": float(contrasts[1]),
        "lost_contrast": float(np.log((contrasts[1] + 1) / (contrasts[0] + 1))),
        "lost_detail": float(np.log((steps[2] + 1) / (steps[0] + 1))),
        "alike_in_the_middle": footage.likeness(shown, middle),
        "tone_of_middle": float(correlations(luma[:1], luma[2:])[0]),
        "tone_of_end": float(correlations(luma[:1], luma[1:2])[0]),
        "contrast": float(contrasts[0]),
        "directness": float((np.ptp(inside) + 1) / (path + 1)),
        "score": fade.score,
    }


def _frames(footage: Footage, fade: FrameTransition) -> tuple[int, int, int]:
    """Return the frame that shows the shot, the emptiest one, and the one halfway between their levels."""
    last = len(footage) - 1
    shown, empty = (
        (max(fade.first - 1, 0), fade.end - 1) if fade.kind == "fade_out" else (min(fade.end, last), fade.first)
    )
    first, end = min(shown, empty), max(shown, empty) + 1
    means = footage.luma[first:end].mean(axis=(1, 2))
    halfway = (means[shown - first] + means[empty - first]) / 2
    return shown, empty, first + int(np.abs(means - halfway).argmin())
