"""Throughput of the model annotators relative to their models alone, in a tight loop on the same cores.

    python benchmarks/model_annotators.py [--threads 1] [--rounds 3] [--clips 8]

The models are CLIP ViT-B/32 and BLIP base at their published sizes with random weights. A model alone gets the same
number of prepared inputs in batches of the same size; the annotator starts from frames of 320x180 and ends with rows.
Both are timed in turns. The ratio is that of the medians of processor seconds, which other programs disturb less. The
server answers after a fixed time, so its time alone is requests times seconds over concurrency, in wall-clock time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipProcessor,
    CLIPConfig,
    CLIPModel,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from videoldm.core.random import seeded_initialisation
from videoldm.curation.annotators.annotator import ClipFrames, KeptFrame
from videoldm.curation.annotators.captions import ImageCaption, ImageCaptionConfig
from videoldm.curation.annotators.embeddings import Embeddings, EmbeddingsConfig
from videoldm.curation.annotators.models.captioner import LocalCaptioner, ServerCaptioner
from videoldm.curation.annotators.models.local_model import ClipModelConfig
from videoldm.curation.annotators.text_similarity import TextSimilarity, TextSimilarityConfig
from videoldm.models.clip.tokenizer import train_tokenizer

BAR = 0.85
NEW_TOKENS, ANSWER_S, CONCURRENCY = 12, 1.0, 8


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=8)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    clips = [made_clip(number) for number in range(args.clips)]
    table = Table("annotation", "model alone, a clip", "annotator, a clip", "throughput ratio", "85 %")
    with tempfile.TemporaryDirectory() as folder:
        contests = [
            ("embeddings", *embeddings_contest(Path(folder), clips, args.threads)),
            ("text_similarity, 2 captions", *similarity_contest(Path(folder), clips, args.threads)),
            ("image_caption", *caption_contest(Path(folder), clips, args.threads)),
        ]
        for name, alone, annotator in contests:
            table.add_row(name, *measured(alone, annotator, len(clips), args.rounds))
    table.add_row("image_caption by a server", *server_figures(clips * 4))
    Console().print(table)
    print(f"torch {torch.__version__}, {args.threads} threads, load {os.getloadavg()[0]:.1f}")


def measured(alone: Callable[[], object], annotator: Callable[[], object], num_clips: int, rounds: int) -> list[str]:
    """Run both in turns."""
    seconds: dict[Callable[[], object], list[float]] = {alone: [], annotator: []}
    for number in range(rounds + 1):
        for run in (alone, annotator):
            start = time.process_time()
            run()
            if number:  # the first round warms up
                seconds[run].append(time.process_time() - start)
    return cells(*(statistics.median(seconds[run]) / num_clips for run in (alone, annotator)))


def cells(alone_s: float, annotator_s: float) -> list[str]:
    """A row of the table."""
    ratio = alone_s / annotator_s
    return [
        f"{1e3 * alone_s:.1f} ms",
        f"{1e3 * annotator_s:.1f} ms",
        f"{ratio:.0%}",
        "met" if ratio >= BAR else "MISSED",
    ]


def embeddings_contest(
    folder: Path, clips: list[ClipFrames], threads: int
) -> tuple[Callable[[], object], Callable[[], object]]:
    """CLIP's image tower over three frames a clip."""
    config = clip_config(folder, threads)
    model = CLIPModel.from_pretrained(config.model).eval()
    batch = torch.randn(config.batch_size, 3, 224, 224)
    annotator = Embeddings(EmbeddingsConfig(clip=config))
    num_batches = len(clips) * 3 // config.batch_size
    assert num_batches * config.batch_size == len(clips) * 3, "the number of clips should fill whole batches"
    return in_loop(lambda: model.get_image_features(pixel_values=batch), num_batches), lambda: annotator.annotate(clips)


def similarity_contest(
    folder: Path, clips: list[ClipFrames], threads: int
) -> tuple[Callable[[], object], Callable[[], object]]:
    """CLIP's text tower over two captions a clip."""
    config = clip_config(folder, threads).model_copy(update={"batch_size": 4})
    model = CLIPModel.from_pretrained(config.model).eval()
    tokens = torch.randint(0, 150, (config.batch_size, 77))
    rows = Embeddings(EmbeddingsConfig(clip=config)).annotate(clips)
    for clip, row in zip(clips, rows, strict=True):
        captions = {
            name: {"text": f"{clip.clip_id} moves", "is_caught": False} for name in ("image_caption", "summary")
        }
        vars_of(clip).update({"embeddings": row, **captions})
    annotator = TextSimilarity(TextSimilarityConfig(clip=config))
    alone = in_loop(lambda: model.get_text_features(input_ids=tokens), len(clips) * 2 // config.batch_size)
    return alone, lambda: annotator.annotate(clips)


def caption_contest(
    folder: Path, clips: list[ClipFrames], threads: int
) -> tuple[Callable[[], object], Callable[[], object]]:
    """BLIP over the middle frame."""
    model, processor = write_blip(folder / "blip")
    captioner = LocalCaptioner(model=str(folder / "blip"), num_threads=threads)
    annotator = ImageCaption(ImageCaptionConfig(captioner=captioner, prompt="", max_new_tokens=NEW_TOKENS))
    inputs = [dict(processor(images=[c.first_middle_last[1].pixels], return_tensors="pt")) for c in clips]

    def alone() -> None:
        with torch.inference_mode():
            for values in inputs:
                model.generate(**values, max_new_tokens=NEW_TOKENS, do_sample=False, num_beams=1)

    return alone, lambda: annotator.annotate(clips)


def in_loop(call: Callable[[], object], times: int) -> Callable[[], object]:
    """Make the call so many times without gradients."""

    def run() -> None:
        with torch.inference_mode():
            for _ in range(times):
                call()

    return run


def server_figures(clips: list[ClipFrames]) -> list[str]:
    """Captions from a server that takes its time."""
    with slow_server() as url:
        captioner = ServerCaptioner(url=url, model="m", concurrency=CONCURRENCY)
        annotator = ImageCaption(ImageCaptionConfig(captioner=captioner))
        start = time.perf_counter()
        annotator.annotate(clips)
        seconds = time.perf_counter() - start
    return cells(ANSWER_S / CONCURRENCY, seconds / len(clips))


def clip_config(folder: Path, threads: int) -> ClipModelConfig:
    """CLIP ViT-B/32, written once."""
    path = folder / "clip"
    if not path.exists():
        tokenizer = train_tokenizer(["a red cube moves to the left"] * 2, vocab_size=150, max_tokens=77)
        ends = {"bos_token_id": 148, "eos_token_id": 149, "pad_token_id": 149}
        with seeded_initialisation(0, "benchmark"):
            model = CLIPModel(CLIPConfig(text_config=ends, vision_config={"patch_size": 32}))
        save(path, model, CLIPImageProcessorPil(), tokenizer)
    return ClipModelConfig(model=str(path), num_threads=threads)


def write_blip(path: Path) -> tuple[BlipForConditionalGeneration, BlipProcessor]:
    """BLIP base for pictures of 384x384, with a made-up vocabulary."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{i}" for i in range(30519))]
    tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate(words)})
    text = {"vocab_size": len(words), "bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0}
    with seeded_initialisation(0, "benchmark"):
        model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config={"image_size": 384})).eval()
    processor = BlipProcessor(BlipImageProcessorPil(size={"height": 384, "width": 384}), tokenizer)
    save(path, model, processor)
    return model, processor


def save(path: Path, *parts: Any) -> None:
    """Write all parts of a model into one folder."""
    for part in parts:
        part.save_pretrained(path)


def made_clip(number: int) -> ClipFrames:
    """A clip of three frames of 320x180."""
    random = np.random.default_rng(number)
    small = [random.integers(0, 256, (9, 16, 3), dtype=np.uint8) for _ in range(3)]
    pixels = [np.asarray(Image.fromarray(picture).resize((320, 180))) for picture in small]
    return ClipFrames(
        clip_id=f"clip-{number}",
        time_base=Fraction(1, 2),
        start_pts=0,
        end_pts=3,
        width=320,
        height=180,
        frames=[KeptFrame(pts, True, frame) for pts, frame in enumerate(pixels)],
        metadata={},
        annotations={},
    )


def vars_of(clip: ClipFrames) -> dict[str, Any]:
    """The rows that a clip brings along, to be filled."""
    assert isinstance(clip.annotations, dict)
    return clip.annotations


@contextmanager
def slow_server() -> Generator[str]:
    """Speaks OpenAI's protocol, each answer after `ANSWER_S`."""
    answer = json.dumps({"choices": [{"message": {"content": "a dog"}, "finish_reason": "stop"}]}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(ANSWER_S)
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    main()
