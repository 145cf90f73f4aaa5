"""The cases of this folder: broken files, and the places at which their messages must point."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SCHEMA = FOLDER / "schema"

_PRIMARY, _INNER = "▲", "△"
_STAND_INS = {"␀": b"\0", "␦": b"\xff", "⟳": b", ".join([b"'" + b"x" * 46 + b"'"] * 2)}


@dataclass(frozen=True)
class Case:
    """A broken file; places are `line:column`, counted in the text as an editor shows it."""

    group: str
    title: str
    sqlstate: str
    fragment: str
    content: bytes
    place: str
    inner: tuple[str, ...]
    """Places in functions: `line:column` in the file itself, `FILE:line:column` in schema files."""
    meanwhile: str = ""

    @property
    def id(self) -> str:
        """What the test is called."""
        return f"{self.group}: {self.title}"


def read() -> list[Case]:
    """Return all cases, in the order of their files."""
    found = []
    for path in sorted(FOLDER.glob("*.sql")):
        for block in ("\n" + path.read_text(encoding="utf-8")).split("\n--# ")[1:]:
            head, _, body = block.partition("\n")
            found.append(_case(path.stem, head, body))
    return found


def _case(group: str, head: str, body: str) -> Case:
    title, sqlstate, fragment, *options = (part.strip() for part in head.split(" | "))
    assert body.count(_PRIMARY) == 1, f"{group}: {title} marks no place, or several"
    text = _expand(body if "bare" in options else body.rstrip("\n") + "\n")
    if "bare" in options:
        text = text.rstrip("\n")
    inner = [_inside(option.removeprefix("in=")) for option in options if option.startswith("in=")]
    if _INNER in text:
        inner.append(_place(text.replace(_PRIMARY, ""), _INNER))
    content = text.replace(_PRIMARY, "").replace(_INNER, "")
    if "crlf" in options:
        content = content.replace("\n", "\r\n")
    if "bom" in options:
        content = "\ufeff" + content
    data = content.encode()
    for sign in ("␀", "␦"):
        data = data.replace(sign.encode(), _STAND_INS[sign])
    meanwhile = next((option.removeprefix("while=") for option in options if option.startswith("while=")), "")
    place = _place(text.replace(_INNER, ""), _PRIMARY)
    return Case(group, title, sqlstate, fragment, data, place, tuple(inner), meanwhile)


def _expand(text: str) -> str:
    return text.replace("⟳", _STAND_INS["⟳"].decode())


def _place(text: str, mark: str) -> str:
    before = text[: text.index(mark)]
    return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def _inside(option: str) -> str:
    name, _, snippet = option.partition(": ")
    text = (SCHEMA / name).read_text(encoding="utf-8")
    snippet = snippet.replace("⏎", "\n")
    assert text.count(snippet) == 1, f"{name} has {snippet!r} {text.count(snippet)} times"
    return f"{name}:{_place(text.replace(snippet, '▲' + snippet), '▲')}"
