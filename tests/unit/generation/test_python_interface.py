"""Wrong arguments of the Python interface are InputErrors of one line; a loaded model prints without its networks."""

from pathlib import Path
from typing import Any

import pytest

from videoldm.core.errors import InputError
from videoldm.generation.clips import make_clip
from videoldm.generation.load import load_model


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"dtype": "float8"}, "dtype is 'float8', it should be float32, float16, bfloat16"),
        ({"speed": "warp"}, "speed is 'warp', it should be exact, fast, faster, turbo"),
    ],
)
def test_options_of_loading_are_checked(tiny_model: Path, options: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line):
        load_model(str(tiny_model), "text-to-video", **options)


def test_inputs_that_a_model_cannot_use_are_refused(tiny_model: Path) -> None:
    model = load_model(str(tiny_model), "text-to-video")
    with pytest.raises(InputError, match="request: prompt is missing, which the task text-to-video needs"):
        make_clip(model)
    with pytest.raises(InputError, match="make_clip: prompt is '', should say what the clip shows"):
        make_clip(model, prompt="")
    assert "Conv" not in repr(model)
