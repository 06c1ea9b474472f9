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
    "motion": "556ce85e0419b17e",
    "text_area": "2b753e39ed85c786",
    "picture_hash": "ff218fb0a004f58f",
    "degradation": "354f1ce4a90527c8",
    "embeddings": "43808e0014d89ab4",
    "image_caption": "25e8c4e6d8c5ac28",
    "video_caption": "f2499eb3fa96645a",
    "summary": "bef9abf8caaf31ec",
    "text_similarity": "e74944644c01349f",
    "aesthetics": "7068a6c66c0c2b81",
    "near_duplicates": "13fdef49ebb13b70",
    "repeated_captions": "d58fd510172e8bd8",
}
PAPER_HASHES = {
    "motion": "7ee3ea2382dd5605",
    "text_area": "2b753e39ed85c786",
    "embeddings": "80228ee1fd74b800",
    "image_caption": "eacd3c4e2d9b2936",
    "video_caption": "79c4b43d72493ad1",
    "summary": "095d25c6d6dcb546",
    "text_similarity": "a59550fed1e9c769",
    "aesthetics": "66797875c70bf47f",
    "near_duplicates": "f91f77ad0f8986af",
    "repeated_captions": "ee08babb4a73ab5e",
}
TABLE_HASHES = {
    **dict.fromkeys(("sources", "signals", "sidecars"), "2d0ab14c31979866"),
    **dict.fromkeys(("transitions", "clips"), "89015d7421f71f9f"),
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
