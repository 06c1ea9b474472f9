from __future__ import annotations

import pytest
import torch
from torch import Tensor

from videoldm.conditioners.config import DropoutConfig
from videoldm.conditioners.dropout import DroppedConditions, apply_dropout, draw_dropout
from videoldm.diffusion.conditioning import FIELDS, Conditioning
from videoldm.diffusion.guidance import drop_image, use_context

SAMPLES = [(3, index) for index in range(2000)]


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def full(batch: int = 4) -> Conditioning:
    return Conditioning(
        context=normal(batch, 3, 6),
        temporal_context=normal(batch, 3, 6) + 1,
        vector=normal(batch, 1, 5).expand(-1, 2, -1),
        concat=normal(batch, 1, 4, 3, 3).expand(-1, 2, -1, -1, -1),
        frame_mask=torch.ones(batch, 2),
        image_only=torch.zeros(batch, 2, dtype=torch.bool),
    )


CONTEXT_AND_CONCAT = DroppedConditions(
    context=torch.tensor([False, True, False, True]), concat=torch.tensor([False, False, True, True])
)


def test_conditions_are_dropped_at_their_rates_and_together_as_asked() -> None:
    drops = draw_dropout(DropoutConfig(joint=0.1, context=0.2, concat=0.3), SAMPLES)
    assert drops.context.float().mean().item() == pytest.approx(1 - 0.9 * 0.8, abs=0.03)
    assert drops.concat.float().mean().item() == pytest.approx(1 - 0.9 * 0.7, abs=0.03)
    both = (drops.context & drops.concat).float().mean().item()
    assert both == pytest.approx(0.1 + 0.9 * 0.2 * 0.3, abs=0.02)


def test_joint_dropping_alone_drops_both_always_together() -> None:
    drops = draw_dropout(DropoutConfig(joint=0.3), SAMPLES)
    assert torch.equal(drops.context, drops.concat)
    assert 0.25 < drops.context.float().mean().item() < 0.35


@pytest.mark.parametrize(("rate", "expected"), [(0.0, False), (1.0, True)])
def test_the_ends_of_the_rates_are_exact(rate: float, expected: bool) -> None:
    drops = draw_dropout(DropoutConfig(context=rate, concat=rate), SAMPLES)
    assert bool((drops.context == expected).all())
    assert bool((drops.concat == expected).all())


def test_a_samples_draw_depends_on_its_key_only() -> None:
    config = DropoutConfig(joint=0.2, context=0.3, concat=0.3)
    batch = draw_dropout(config, SAMPLES[:50])
    for index in (0, 7, 49):
        alone = draw_dropout(config, [SAMPLES[index]])
        assert alone.context[0] == batch.context[index]
        assert alone.concat[0] == batch.concat[index]
    # One rate more leaves the draws for the others as they were.
    fewer = draw_dropout(DropoutConfig(context=0.3), SAMPLES[:50])
    more = draw_dropout(DropoutConfig(context=0.3, concat=0.9), SAMPLES[:50])
    assert torch.equal(fewer.context, more.context)


def test_dropped_rows_are_zero_and_everything_else_is_untouched() -> None:
    given = full()
    dropped = apply_dropout(given, CONTEXT_AND_CONCAT, null_context=None)
    for name, rows in (("context", [1, 3]), ("temporal_context", [1, 3]), ("concat", [2, 3]), ("frame_mask", [2, 3])):
        before, after = getattr(given, name), getattr(dropped, name)
        for row in range(4):
            assert torch.equal(after[row], torch.zeros_like(before[row]) if row in rows else before[row]), (name, row)
    assert dropped.vector is given.vector
    assert dropped.image_only is given.image_only


def test_dropped_text_becomes_the_empty_prompt() -> None:
    given, null = full(), normal(1, 3, 6) + 5
    dropped = apply_dropout(given, CONTEXT_AND_CONCAT, null_context=null)
    assert dropped.context is not None
    assert dropped.temporal_context is not None
    assert given.context is not None
    assert torch.equal(dropped.context[1], null[0])
    assert torch.equal(dropped.context[2], given.context[2])
    assert torch.equal(dropped.temporal_context[3], null[0])


def test_fields_that_are_not_used_stay_so() -> None:
    text_only = Conditioning(context=normal(4, 3, 6))
    dropped = apply_dropout(text_only, CONTEXT_AND_CONCAT, null_context=None)
    assert [name for name in FIELDS if getattr(dropped, name) is not None] == ["context"]


def test_a_sample_without_conditions_is_what_guidance_compares_with() -> None:
    everything = DroppedConditions(context=torch.ones(4, dtype=torch.bool), concat=torch.ones(4, dtype=torch.bool))
    given = full().replace(frame_mask=None)

    def assert_same(a: Conditioning, b: Conditioning) -> None:
        for name in FIELDS:
            first, second = getattr(a, name), getattr(b, name)
            assert (first is None) == (second is None), name
            assert first is None or torch.equal(first, second), name

    assert_same(apply_dropout(given, everything, null_context=None), drop_image(given))
    text, null = Conditioning(context=normal(4, 3, 6)), normal(1, 3, 6) + 5
    assert_same(apply_dropout(text, everything, null_context=null), use_context(null)(text))


def test_broken_values_do_not_leak_through_a_drop() -> None:
    given = Conditioning(context=torch.full((1, 3, 6), torch.nan))
    drops = DroppedConditions(context=torch.tensor([True]), concat=torch.tensor([False]))
    assert torch.equal(apply_dropout(given, drops, null_context=None).context, torch.zeros(1, 3, 6))


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_rates_outside_zero_to_one_are_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="joint"):
        DropoutConfig(joint=rate)
