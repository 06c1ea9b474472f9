"""A small byte-pair tokenizer in CLIP's format, trained on captions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from transformers import CLIPTokenizer

from videoldm.core.errors import InputError

END_OF_WORD = "</w>"
UNKNOWN_TOKEN, START_TOKEN, END_TOKEN = "<|unk|>", "<|startoftext|>", "<|endoftext|>"

# Every printable ASCII character after lower-casing, so that words never seen in training fall back to characters.
_CHARACTERS = tuple(chr(code) for code in range(ord("!"), ord("~") + 1) if not chr(code).isupper())

Pair = tuple[str, str]


def train_tokenizer(captions: Iterable[str], *, vocab_size: int, max_tokens: int) -> CLIPTokenizer:
    """Learn the byte-pair merges that shorten the captions most, and return them as a CLIPTokenizer.

    The vocabulary has exactly `vocab_size` entries: characters (inside and at the end of a word), merges, unknown,
    start, end; the end token also pads. The result depends on the captions' word counts only. `save_pretrained`
    writes it, `CLIPTokenizer.from_pretrained` or `AutoTokenizer` reads it. Raises InputError if the captions cannot
    fill a vocabulary of that size or their characters alone overfill it.
    """
    words = _word_counts(captions)
    characters = sorted({*_CHARACTERS, *(symbol for word in words for symbol in word)})
    alphabet = [*characters, *(symbol + END_OF_WORD for symbol in characters)]
    num_new = vocab_size - len(alphabet) - 3
    if num_new < 0:
        raise InputError(f"vocab_size is {vocab_size}, it should be at least {vocab_size - num_new}")
    merges = _learn_merges(words, num_new)
    entries = [*alphabet, *dict.fromkeys(left + right for left, right in merges)]
    if len(entries) + 3 < vocab_size:
        raise InputError(f"vocab_size is {vocab_size}, these captions give at most {len(entries) + 3}")
    return _tokenizer([*entries, UNKNOWN_TOKEN, START_TOKEN, END_TOKEN], merges, max_tokens)


def _tokenizer(entries: list[str], merges: list[Pair], max_tokens: int) -> CLIPTokenizer:
    return CLIPTokenizer(
        vocab={entry: index for index, entry in enumerate(entries)},
        merges=merges,  # pyright: ignore[reportArgumentType]: it takes pairs, its annotation says text
        unk_token=UNKNOWN_TOKEN,
        bos_token=START_TOKEN,
        eos_token=END_TOKEN,
        pad_token=END_TOKEN,
        model_max_length=max_tokens,
    )


def _word_counts(captions: Iterable[str]) -> Counter[str]:
    """Count the words, after CLIP's own lower-casing and splitting, in its byte alphabet."""
    backend = _tokenizer([UNKNOWN_TOKEN, START_TOKEN, END_TOKEN], [], 3).backend_tokenizer
    normaliser, splitter = backend.normalizer, backend.pre_tokenizer
    return Counter(
        word for caption in captions for word, _ in splitter.pre_tokenize_str(normaliser.normalize_str(caption))
    )


def _learn_merges(words: Counter[str], num_new: int) -> list[Pair]:
    """Merge the most frequent neighbours repeatedly, until there are `num_new` new symbols or whole words only."""
    spellings = {word: [*word[:-1], word[-1] + END_OF_WORD] for word in words}
    merges: list[Pair] = []
    new_symbols: set[str] = set()  # two merges can spell the same symbol: a+bc and ab+c
    while len(new_symbols) < num_new:
        pairs: Counter[Pair] = Counter()
        for word, spelling in spellings.items():
            for pair in pairwise(spelling):
                pairs[pair] += words[word]
        if not pairs:
            break
        # Ties go to the alphabetically first pair, so that the order of the captions does not matter.
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        new_symbols.add(best[0] + best[1])
        spellings = {word: _merge(spelling, best) for word, spelling in spellings.items()}
    return merges


def _merge(spelling: list[str], pair: Pair) -> list[str]:
    merged: list[str] = []
    for symbol in spelling:
        if merged and (merged[-1], symbol) == pair:
            merged[-1] += symbol
        else:
            merged.append(symbol)
    return merged
