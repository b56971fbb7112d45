"""What the documents consist of: command blocks, links, headings, words that a person typed."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.document_figures import BLOCK, NUMBER, ROOT, pages

PAGES = {str(page.relative_to(ROOT)): page for page in pages()}
_FENCE = re.compile(r"^```(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block; `tier` says in which tests it runs: `run-quick`, `run-slow`, `check`, or what else it is."""

    page: str
    line: int
    language: str
    tier: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def commands(self) -> list[list[str]]:
        """The words of each command, comments left out and lines that end with a backslash joined."""
        lines = self.text.replace("\\\n", " ").splitlines()
        # What a shell puts for the folder that it is in, which is the project's.
        expanded = (line.replace("$PWD", str(ROOT)) for line in lines)
        return [words for line in expanded if (words := shlex.split(line, comments=True))]


def blocks(*tiers: str) -> list[Block]:
    """The blocks of all pages, or those of some tiers."""
    found = [block for name, page in PAGES.items() for block in _blocks(name, page.read_text(encoding="utf-8"))]
    return [block for block in found if not tiers or block.tier in tiers]


def links(text: str) -> list[str]:
    """The targets of all links and images outside of code."""
    return _LINK.findall(without_code(text))


def anchors(page: Path) -> set[str]:
    """The anchors that a forge makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", without_code(page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def typed(text: str) -> str:
    """What a person wrote as words: no code, no table and no number that the benchmarks fill, no target of a link."""
    text = NUMBER.sub("", BLOCK.sub("", without_code(text)))
    return re.sub(r"\]\([^)]*\)", "]", re.sub(r"`[^`\n]*`", "", text))


def without_code(text: str) -> str:
    """The text without its fenced blocks."""
    return _FENCE.sub("", text)


def rows(text: str, header: str) -> list[list[str]]:
    """The cells of each row of the table whose header line begins with `header`."""
    (table,) = re.findall(rf"^{re.escape(header)}.*\n\|[ \-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]


def _blocks(name: str, text: str) -> Iterator[Block]:
    for match in _FENCE.finditer(text):
        language, _, tier = match[1].partition(" ")
        yield Block(name, text.count("\n", 0, match.start()) + 1, language, tier, match[2])
