"""Guards that flag faulty captions by their text alone; the text itself is always kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute

# Its functions are created when it is imported, so that pyright knows none of them.
pc: Any = pyarrow.compute

MAX_WORDS = 100
LEAK_WORDS = 6
"""Number of consecutive words of the prompt that make a leak."""

_REFUSAL = re.compile(
    r"""(^|[.!?:]\s+)(
      (i'?m|i\s+am|we'?re)\s+(very\s+|so\s+)?(sorry|afraid|unable|not\s+able)\b
    | (i|we)\s+(can'?t|cannot|can\s+not|am\s+unable|don'?t\s+have|do\s+not\s+have|won'?t|could\s+not|couldn'?t)\b
    | (sorry|unfortunately),?\s+(but\s+)?(i|we|there|no)\b
    | as\s+an?\s+(ai|artificial|language|large)\b
    | (there\s+(is|are|was|were)\s+)?no\s+(image|picture|photo|video|frame|caption)s?\s+
      (was|were|is|are|has|have|provided|given|attached|visible|to)\b
    | (please|could\s+you|can\s+you)\s+(please\s+)?(provide|upload|share|attach|send)\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_ROLE = re.compile(r"<\|?/?\w+\|?>|\[/?INST\]|(^|\n)\s*(user|assistant|system|human)\s*:|^#{2,}\s", re.IGNORECASE)
_OPENING = re.compile(
    r"""^(sure|certainly|of\s+course|okay|ok|here\s+(is|are|'s)|here's|caption|answer|description|summary)\b
    | ^(this|the|these|in\s+(this|the|these))\s+
      ((short|first|second|single|given|provided|video|merged)\s+)*
      (image|picture|photo|photograph|frame|video|clip|scene|footage|caption|sentence)s?\b
    | ^an?\s+(image|picture|photo|photograph|frame|video|clip)\s+(of|showing|that|which|depicting)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_WORD = re.compile(r"\w+(?:'\w+)*")


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Flags that a caption raises; these are columns of every caption."""

    is_empty: bool
    is_refusal: bool
    """The model says what it cannot do, or that it got nothing."""
    is_prompt_leak: bool
    """It has consecutive words of the prompt, or markers of a chat."""
    is_looping: bool
    """It repeats the same words over and over."""
    is_overlong: bool
    """It has more than 100 words, or is cut off where the model had to stop."""
    is_boilerplate: bool
    """It opens with words about being a caption; a matter of taste, so it does not count as caught."""

    @property
    def is_caught(self) -> bool:
        """Whether the caption should not be trained on."""
        return self.is_empty or self.is_refusal or self.is_prompt_leak or self.is_looping or self.is_overlong


def check_caption(text: str, *, prompt: str, is_cut: bool = False) -> Flags:
    """Check a caption that was made for `prompt`; `is_cut` if the model was stopped at its limit."""
    text = _straight(text).strip()
    words = _words(text)
    return Flags(
        is_empty=not words,
        is_refusal=_REFUSAL.search(text) is not None,
        is_prompt_leak=_ROLE.search(text) is not None or _shares_words(words, _words(_straight(prompt))),
        is_looping=_is_looping(words),
        is_overlong=is_cut or len(words) > MAX_WORDS,
        is_boilerplate=_OPENING.search(text) is not None,
    )


def num_words(text: str) -> int:
    """Return the number of words of a caption."""
    return len(_words(_straight(text)))


def repeated_captions(texts: pa.Array | pa.ChunkedArray, *, min_clips: int = 10) -> pa.BooleanArray:
    """Return for each caption of a whole dataset whether at least `min_clips` clips have it, null if it is null.

    Case, punctuation and spaces do not count. Clips of one source may rightly have equal captions, hence the number.
    """
    whole = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    plain = pc.utf8_trim_whitespace(pc.replace_substring_regex(pc.utf8_lower(whole), r"[^\p{L}\p{N}]+", " "))
    counts = pc.value_counts(plain)
    often = counts.field("values").filter(pc.greater_equal(counts.field("counts"), min_clips)).drop_null()
    return pc.if_else(pc.is_valid(plain), pc.is_in(plain, value_set=often), pa.scalar(None, pa.bool_()))


def _straight(text: str) -> str:
    """Return the text with straight apostrophes."""
    return text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _shares_words(words: list[str], prompt: list[str]) -> bool:
    known = {tuple(prompt[i : i + LEAK_WORDS]) for i in range(len(prompt) - LEAK_WORDS + 1)}
    return any(tuple(words[i : i + LEAK_WORDS]) in known for i in range(len(words) - LEAK_WORDS + 1))


def _is_looping(words: list[str]) -> bool:
    """Return whether one or two words appear four times in a row, or three to twelve words three times."""
    for period in range(1, 13):
        num_copies = 4 if period <= 2 else 3
        run = 0
        for i in range(period, len(words)):
            run = run + 1 if words[i] == words[i - period] else 0
            if run >= period * (num_copies - 1):
                return True
    return False
