"""The set of annotators: found by name, without torch, with the hashes that datasets on disk have."""

from __future__ import annotations

import subprocess
import sys

import pytest

from videoldm.core.config import from_yaml
from videoldm.core.errors import InputError
from videoldm.curation.annotators.registry import default_config, make
from videoldm.curation.choices import as_in_paper
from videoldm.curation.config import DEFAULT_ANNOTATIONS, CurationConfig
from videoldm.curation.store.dataset import Hashes

# Birth certificate: printed by commit 8f311ab, where one module described every annotator, on Linux with Python 3.11,
# in November 2026; exact, as datasets on disk are found by them; self-made.
DEFAULT_HASHES = {
    "motion": "215ff624cbf44262",
    "text_area": "bf626d8df2ec5fd9",
    "embeddings": "94e579b2ec69edf7",
    "image_caption": "56282dd2ec1bb403",
    "video_caption": "b40b05b22b293bbc",
    "summary": "a1589a1f808ae964",
    "text_similarity": "5319eb944c9a76cb",
    "aesthetics": "787a0c15c22306a6",
    "near_duplicates": "535d05f7f0a6cc92",
    "repeated_captions": "a1ecb4d5c55b7c64",
}
PAPER_HASHES = {
    "motion": "e2d9a7590d2355c0",
    "text_area": "bf626d8df2ec5fd9",
    "embeddings": "cb356d5174e8cc9a",
    "image_caption": "03502d2ffda9c7ff",
    "video_caption": "b5981001b7792b2f",
    "summary": "e3f950eb15ab0dcb",
    "text_similarity": "1ed72c9d5f9212b6",
    "aesthetics": "524598f2ec15fa7e",
    "near_duplicates": "13a11b8dedfa70a9",
    "repeated_captions": "6787fe603e0cc560",
}
TABLE_HASHES = {
    **dict.fromkeys(("sources", "signals", "sidecars"), "0f51dca4a6cab4e5"),
    **dict.fromkeys(("transitions", "clips"), "c90d592dd6ad09d7"),
}


def test_hashes_are_those_of_datasets_on_disk() -> None:
    default, paper = CurationConfig(), as_in_paper("openai:http://localhost:8000/v1#Qwen/Qwen3-8B")
    assert Hashes.of(default) == Hashes(tables=TABLE_HASHES, annotations=DEFAULT_HASHES)
    assert Hashes.of(paper) == Hashes(tables=TABLE_HASHES, annotations=PAPER_HASHES)


@pytest.mark.parametrize("name", DEFAULT_ANNOTATIONS)
def test_annotators_are_made_without_a_model(name: str) -> None:
    config = default_config(name)
    assert make(config).config is config
    assert len(config.columns) > 0


def test_configs_and_columns_need_no_torch() -> None:
    code = (
        "import sys; from videoldm.curation.config import CurationConfig;"
        "from videoldm.curation.annotators.registry import make;"
        "assert not {'cv2', 'pyarrow'} & sys.modules.keys(), 'the configuration alone needs neither';"
        "print(len([(one.columns, make(one)) for one in CurationConfig().annotations]));"
        "assert not {'torch', 'transformers'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{len(DEFAULT_ANNOTATIONS)}\n", "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[{name: flow}]", r"annotations\.0 has name 'flow', should be one of .*'aesthetics'.*'motion'"),
        ("[{short_side: 3}]", r"annotations\.0 .*name"),
        ("[{name: motion, least_gian: 3}]", r"annotations\.0\.least_gian .* least_gain"),
        ("[{name: motion, flow: {method: dis, strides: 3}}]", r"annotations\.0\.flow\.strides .*stride_px"),
        ("[{name: motion, least_gain: 3}]", r"annotations\.0\.least_gain is 3, should be less than or equal to 1"),
        ("[7]", r"annotations\.0"),
    ],
)
def test_wrong_configurations_are_one_line(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as error:
        from_yaml(CurationConfig, f"annotations: {text}")
    assert "\n" not in str(error.value)
