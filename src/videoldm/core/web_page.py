"""Static HTML pages without scripts: the style that all reports share, sections and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #667079; --paper: #ffffff; --line: #d9dee3; --bar: #3b76b3; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ebee; --soft: #98a2ab; --paper: #14171a; --line: #333a41; --bar: #6ea3da; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 0.6rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 0.4rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: 0.3rem 1rem 0.3rem 0; text-align: left; vertical-align: top;
  white-space: pre-line; overflow-wrap: anywhere; }
td:first-child { overflow-wrap: normal; } th, .number { white-space: nowrap; }
th { color: var(--soft); font-weight: 500; } .number { text-align: right; }
.grid { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); }
.pictures { grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); gap: 0.8rem; }
figure { margin: 0; } figcaption { color: var(--soft); font-size: 0.8rem; overflow-wrap: anywhere; }
figcaption b { color: var(--ink); font-weight: 600; }
img, .no-picture { width: 100%; aspect-ratio: 16 / 9; border-radius: 4px; display: block; box-sizing: border-box; }
img { object-fit: contain; background: var(--line); }
.no-picture { border: 1px dashed var(--line); color: var(--soft); font-size: 0.8rem;
  display: grid; place-items: center; }
svg { width: 100%; height: auto; display: block; } rect { fill: var(--bar); }
polyline { fill: none; stroke-width: 1.5; }
video { width: 100%; border-radius: 4px; display: block; }
svg text { fill: var(--soft); font-size: 11px; } svg line { stroke: var(--line); }
"""


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table of texts, the same for a terminal and a page; a text may have several lines."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def numeric_columns(self) -> list[bool]:
        """Whether each column holds numbers only."""
        columns = [[row[index] for row in self.rows if row[index]] for index in range(len(self.headings))]
        return [bool(column) and all(text[0].isdigit() or text == "-" for text in column) for column in columns]


def page(title: str, sections: Iterable[str]) -> str:
    """Return a complete HTML document."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body><h1>{escape(title)}</h1>\n{chr(10).join(sections)}\n</body></html>\n"
    )


def section(heading: str, body: str) -> str:
    """Return one section of a page as HTML."""
    return f"<h2>{escape(heading)}</h2>\n{body}"


def table(content: TextTable) -> str:
    """Return a table as HTML; columns of numbers are aligned to the right."""
    classes = [' class="number"' if is_number else "" for is_number in content.numeric_columns]
    lines = [_cells("th", classes, content.headings), *(_cells("td", classes, row) for row in content.rows)]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _cells(tag: str, classes: Sequence[str], texts: Sequence[str]) -> str:
    return "".join(f"<{tag}{kind}>{escape(text)}</{tag}>" for kind, text in zip(classes, texts, strict=True))
