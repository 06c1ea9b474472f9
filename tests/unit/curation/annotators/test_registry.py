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
    "motion": "fc97faf0cbfd7d01",
    "text_area": "c284a6a0b6d1b755",
    "embeddings": "12ab9e64359bd19e",
    "image_caption": "4c5535c2765c5b5b",
    "video_caption": "b79f15f13748d3dc",
    "summary": "0e773ae106a80e79",
    "text_similarity": "6bec1a721be9db3f",
    "aesthetics": "92c405d3a8e6d942",
    "near_duplicates": "23c43fc2f261d492",
    "repeated_captions": "02e284c64f4231d9",
}
PAPER_HASHES = {
    "motion": "6f1b09fffe4d475a",
    "text_area": "c284a6a0b6d1b755",
    "embeddings": "8e98ecb2a7ff14d5",
    "image_caption": "1da5595a652ba0b5",
    "video_caption": "bc58002d45607424",
    "summary": "5293835ae5ed1ef9",
    "text_similarity": "c2aab5b310c4e94a",
    "aesthetics": "aa4b750a013781e4",
    "near_duplicates": "79f909cad8f07d8c",
    "repeated_captions": "afe75768400b9d57",
}
TABLE_HASHES = {
    **dict.fromkeys(("sources", "signals", "sidecars"), "43cfe8aa0aa9871a"),
    **dict.fromkeys(("transitions", "clips"), "81d493ffbf475fc9"),
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
