"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(lines: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table of a header and further lines, which can be read as text too.

    Columns but the first are aligned to the right, since they are mostly numbers.
    """
    lines = [lines[0], ["---"] + ["---:"] * (len(lines[0]) - 1), *lines[1:]]
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    return "\n".join(
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def escaped(text: str) -> str:
    """Returns text of which Markdown makes no mark-up."""
    return "".join(c if c.isalnum() else f"&#{ord(c)};" for c in text)
