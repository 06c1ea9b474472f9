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
    "motion": "47c961e6640ba2bc",
    "text_area": "092a0d734a4cf32c",
    "picture_hash": "e0db9db937ed0d83",
    "degradation": "58d98e9d52be3dfa",
    "embeddings": "4c952020821c64f8",
    "image_caption": "0e6073a69668c40d",
    "video_caption": "4dc0340d507427bb",
    "summary": "0a5391d352a7c8c1",
    "text_similarity": "7656efa311a8f59b",
    "aesthetics": "602c056b13729a35",
    "near_duplicates": "280162ceab5f358f",
    "repeated_captions": "0784736c80e2c53b",
}
PAPER_HASHES = {
    "motion": "d6131628edf7f8be",
    "text_area": "092a0d734a4cf32c",
    "embeddings": "d908178502bad5f6",
    "image_caption": "f71643c1fb70213d",
    "video_caption": "a61e21e421e96be5",
    "summary": "fbaea7a56bb28447",
    "text_similarity": "81a220ce271cf49f",
    "aesthetics": "0963a9f82a5dadf9",
    "near_duplicates": "8b8c69d8af861a78",
    "repeated_captions": "45d6cd4f440d133e",
}
TABLE_HASHES = {
    **dict.fromkeys(("sources", "signals", "sidecars"), "d69eb3da0155522a"),
    **dict.fromkeys(("transitions", "clips"), "01b885a24888c4af"),
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
