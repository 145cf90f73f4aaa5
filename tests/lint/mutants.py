"""The shipped steps with one thing made wrong in each, and the rule that has to say so: mutants.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutant:
    """A step in which texts are replaced by others; `at` begins where the finding has to point."""

    name: str
    step: str
    rule: str
    edits: tuple[tuple[str, str], ...]
    at: str

    def apply(self, text: str) -> str:
        """Return the step made wrong; each edit has to find its text."""
        for old, new in self.edits:
            assert old in text, f"{self.name}: {self.step} has no {old!r}"
            text = text.replace(old, new, 1)
        return text


def read() -> list[Mutant]:
    """Return all of them."""
    document = tomllib.loads((Path(__file__).parent / "mutants.toml").read_text(encoding="utf-8"))
    return [
        Mutant(
            name=entry["name"],
            step=entry["step"],
            rule=entry["rule"],
            edits=tuple((edit["old"], edit["new"]) for edit in entry["edits"]),
            at=entry.get("at", ""),
        )
        for entry in document["mutant"]
    ]
