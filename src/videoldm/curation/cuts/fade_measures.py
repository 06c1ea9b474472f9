"""What fades are judged by: in a fade the shot pales as it is, and nothing of it is left at the end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from videoldm.curation.cuts.config import VeilConfig
from videoldm.curation.cuts.footage import Footage
from videoldm.curation.cuts.judges import Measures, judge
from videoldm.curation.cuts.measures import correlations, step_energies
from videoldm.curation.cuts.transition import FrameTransition

_WHITE = 128.0


def probable_fades(
    footage: Footage, veils: Sequence[FrameTransition], config: VeilConfig
) -> list[FrameTransition]:
    """Return the veils without the fades that are improbable; flashes are not judged."""
    fades = [one for one in veils if one.kind != "flash"]
    if not fades:
        return list(veils)
    probabilities = judge("fade").probabilities(measure_fades(footage, fades))
    is_probable = dict(zip(fades, (probabilities >= config.least_probability).tolist(), strict=True))
    return [one for one in veils if is_probable.get(one, True)]


def measure_fades(footage: Footage, fades: Sequence[FrameTransition]) -> Measures:
    """Return the measures of each `fade_out` and `fade_in`."""
    rows = [_measures(footage, one) for one in fades]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _measures(footage: Footage, fade: FrameTransition) -> dict[str, float]:
    shown, empty, middle = _frames(footage, fade)
    luma = footage.luma[[shown, empty, middle]].astype(np.float32)
    means, contrasts, steps = luma.mean(axis=(1, 2)), luma.std(axis=(1, 2)), step_energies(luma[None])[0]
    inside = footage.luma[fade.first : fade.end].mean(axis=(1, 2))
    path = np.abs(np.diff(inside)).sum()
    return {
        "length_s": float(footage.times[min(fade.end, len(footage) - 1)] - footage.times[fade.first]),
        "height": float(abs(means[0] - means[1])),
        "is_white": float(means[1] > _WHITE),
        "emptiness": float(contrasts[1]),
        "lost_contrast": float(np.log((contrasts[1] + 1) / (contrasts[0] + 1))),
        "lost_detail": float(np.log((steps[1] + 1) / (steps[0] + 1))),
        "lost_detail_of_middle": float(np.log((steps[2] + 1) / (steps[0] + 1))),
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
    shown, empty = (max(fade.first - 1, 0), fade.end - 1) if fade.kind == "fade_out" else (min(fade.end, last), fade.first)
    first, end = min(shown, empty), max(shown, empty) + 1
    means = footage.luma[first:end].mean(axis=(1, 2))
    halfway = (means[shown - first] + means[empty - first]) / 2
    return shown, empty, first + int(np.abs(means - halfway).argmin())
