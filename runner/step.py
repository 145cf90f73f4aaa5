"""One SQL file: its name, header, text, statements and checksum. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from runner import durations, excerpt, sqltext
from runner.errors import ConfigError
from runner.sqltext import Statement

NAME = re.compile(r"(?P<number>[0-9]{1,9})_(?P<name>[A-Za-z][A-Za-z0-9_]{0,49})", re.ASCII)
_KEY = re.compile(r"--\s*([a-z_]+):(?:\s+(.*))?$")
_NAME = re.compile(r'(?:[a-z_]\w*|"(?:[^"]|"")+")(?:\.(?:[a-z_]\w*|"(?:[^"]|"")+")){0,2}', re.ASCII)
# A comma that no quotes enclose.
_COMMA = re.compile(r',(?=(?:[^"]*"[^"]*")*[^"]*$)')
_EARLIER = re.compile(r"([0-9]{1,9}_[A-Za-z][A-Za-z0-9_]{0,49})@([0-9a-f]{12,64})", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)

STEP_KEYS = ("timeout", "lock_timeout", "description", "table", "watermark", "technical")
SCHEMA_KEYS = ("timeout", "lock_timeout", "description", "transaction", "upgrades")

_CONTROL = ("begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release")
# An outer pair may carry no modes: the runner's own transaction would not have them.
_BEGIN = ("begin", "begin work", "begin transaction", "start transaction")
_COMMIT = ("commit", "commit work", "commit transaction", "end", "end work", "end transaction")


@dataclass(frozen=True)
class SqlFile:
    """A schema file or step, read and checked, before anything is run.

    `timeout` and `lock_timeout` are milliseconds; 0 means none.
    """

    path: Path
    shown: str
    """The path as messages show it, below the project folder."""
    number: int
    name: str
    text: str
    timeout: int = 300_000
    lock_timeout: int = 5_000
    description: str = ""
    table: str = ""
    in_transaction: bool = True
    watermark: tuple[str, ...] = ()
    """Tables that only remember how far the data reach: their rows are counted nowhere."""
    technical: tuple[str, ...] = ()
    """Columns (`loaded_at`, `agents.loaded_at`) that say when a row was written, and nothing about the data."""
    upgrades: tuple[tuple[str, str], ...] = ()
    """Of a schema file: (file id, how its checksum began) of earlier texts that this one makes good for."""

    @property
    def id(self) -> str:
        """The file's name without its ending: `020_groups`."""
        return self.path.stem

    @property
    def task_name(self) -> str:
        """The name of the step's task in pipeline_metrics: `groups_task`."""
        return f"{self.name}_task"

    @cached_property
    def statements(self) -> list[Statement]:
        """The statements to send, the outer `begin` and `commit` left out; ConfigError on other control."""
        return _without_outer_transaction(self)

    @cached_property
    def checksum(self) -> str:
        """SHA-256 over the SQL without comments and white space."""
        return hashlib.sha256(sqltext.normalise(self.text).encode()).hexdigest()

    def answers_to(self, selector: str) -> bool:
        """Tell whether `selector` names the file: by number, name or both."""
        is_number = _NUMBER.fullmatch(selector) is not None
        return selector in (self.id, self.name) or (is_number and int(selector) == self.number)


def read(path: Path, root: Path, keys: tuple[str, ...]) -> SqlFile:
    """Read the SQL file at `path`, whose name must be `NNN_name.sql`.

    Raises ConfigError when name, encoding or header are wrong.
    """
    shown = _shown(path, root)
    match = NAME.fullmatch(path.stem)
    if match is None:
        raise ConfigError(
            f"{shown} is not named like 010_agents.sql",
            hint="Rename it: a number, an underscore, a name of letters, digits and underscores.",
        )
    try:
        # newline="" keeps every character, so that the server's positions are the file's.
        with path.open(encoding="utf-8", newline="") as file:
            text = file.read()
    except UnicodeDecodeError as error:
        before = path.read_bytes()[: error.start].decode("utf-8-sig")
        raise refused(
            shown,
            before + "\ufffd",
            len(before),
            f"the file is not UTF-8 text (byte {error.start})",
            "Save it as UTF-8.",
        ) from error
    except OSError as error:
        raise ConfigError(f"{shown} cannot be read: {error.strerror}", hint="Check its permissions.") from error
    if text.startswith("\ufeff"):
        text = text[1:]
    if "\0" in text:
        raise refused(shown, text, text.index("\0"), "a NUL character", "Remove it; is the file UTF-16?")
    header = read_header(text, shown, keys)
    in_transaction = _in_transaction(header)
    return SqlFile(
        path=path,
        shown=shown,
        number=int(match["number"]),
        name=match["name"],
        text=text,
        # An index that is made concurrently waits for all older transactions; given up, it stays behind invalid.
        timeout=_duration(header, "timeout", 300_000 if in_transaction else 0),
        lock_timeout=_duration(header, "lock_timeout", 5_000 if in_transaction else 0),
        description=header.values.get("description", ""),
        table=header.values.get("table", match["name"]),
        in_transaction=in_transaction,
        watermark=_names(header, "watermark"),
        technical=_names(header, "technical"),
        upgrades=_earlier(header),
    )


def _shown(path: Path, root: Path) -> str:
    try:
        return str(path.relative_to(root))
    except ValueError:
        return str(path)


def read_header(text: str, shown: str, keys: tuple[str, ...]) -> Header:
    """Return what the comment lines at the top say; ConfigError where they are not understood."""
    header = Header(shown, text)
    start = 0
    for line in text.splitlines(keepends=True):
        begin, start = start, start + len(line)
        if line.strip() and not line.lstrip().startswith("--"):
            break
        match = _KEY.match(line.strip())
        if match is None or match[1] == "lint":  # says to `runner lint` what is meant as it is
            continue
        begin += line.index(line.strip())
        key, value = match[1], (match[2] or "").strip()
        if key not in keys:
            raise refused(
                shown,
                text,
                begin + match.start(1),
                f"unknown header key {key!r}",
                f"Known keys: {', '.join(keys)}. A remark may not look like 'word: text' at the top of a file.",
            )
        if key in header.values:
            raise refused(shown, text, begin + match.start(1), f"the header names {key!r} twice", "Keep one of them.")
        if not value:
            what = f"the header key {key!r} has no value"
            raise refused(shown, text, begin + match.start(1), what, "Give one or remove it.")
        header.values[key] = value
        header.places[key] = begin + match.start(1), begin + match.start(2)
    return header


@dataclass(frozen=True)
class Header:
    """What the comment lines at the top of a file say: key -> value, and where key and value stand."""

    shown: str
    text: str
    values: dict[str, str] = field(default_factory=dict)
    places: dict[str, tuple[int, int]] = field(default_factory=dict)

    def refused(self, key: str, what: str, hint: str) -> ConfigError:
        """Return the error of a value that is wrong."""
        return refused(self.shown, self.text, self.places[key][1], what, hint)

    def listed(self, key: str) -> list[tuple[str, int]]:
        """Return what stands between the commas of a value, and where; nothing where the key is not there."""
        if key not in self.values:
            return []
        value, found, start = self.values[key], [], 0
        for stop in (*(match.start() for match in _COMMA.finditer(value)), len(value)):
            item = value[start:stop]
            found.append((item.strip(), self.places[key][1] + start + len(item) - len(item.lstrip())))
            start = stop + 1
        return found


def refused(shown: str, text: str, offset: int, what: str, hint: str) -> ConfigError:
    """Return the error of a file that is wrong at `offset`: what is wrong, the line with a caret, what to do."""
    message = f"{excerpt.position(shown, text, offset)}: {what}\n{excerpt.draw(text, offset)}"
    return ConfigError(message, hint=hint)


def _duration(header: Header, key: str, default: int) -> int:
    if key not in header.values:
        return default
    value = header.values[key]
    milliseconds = durations.parse(value)
    # PostgreSQL keeps time-outs as 32-bit milliseconds.
    if milliseconds is None or not 0 < milliseconds < 2**31:
        raise header.refused(key, f"{key} is {value!r}, which is not a duration", durations.HINT)
    return milliseconds


def _names(header: Header, key: str) -> tuple[str, ...]:
    """Return the names that a header key lists: `a, "B"`, each with its table or schema in front or without."""
    names = tuple(name for name, _ in header.listed(key))
    for name in names:
        if not _NAME.fullmatch(name):
            raise header.refused(
                key,
                f"{key} is {header.values[key]!r}: {name!r} is not a name",
                f'Write names as SQL does, in lower case or quoted, with commas between them: -- {key}: one, "Another"',
            )
    return names


def _earlier(header: Header) -> tuple[tuple[str, str], ...]:
    """Return the earlier texts of other files that the header names: `001_staging@3631e247f30e, …`."""
    found = []
    for text, _ in header.listed("upgrades"):
        match = _EARLIER.fullmatch(text)
        if match is None:
            raise header.refused(
                "upgrades",
                f"upgrades names {text!r}, which is no earlier text of a file",
                "Write the file's name and at least 12 digits of its checksum then: 001_staging@3631e247f30e.",
            )
        found.append((match[1], match[2]))
    return tuple(found)


def _in_transaction(header: Header) -> bool:
    value = header.values.get("transaction", "on")
    if value not in ("on", "off"):
        raise header.refused("transaction", f"transaction is {value!r}", "Write 'on' or 'off'.")
    return value == "on"


def _is_control(statement: Statement) -> bool:
    first = statement.words[0] if statement.words else ""
    return first in _CONTROL or statement.words[:2] == ("prepare", "transaction")


def _refuse_outside(file: SqlFile, statements: list[Statement], begins: bool) -> None:
    """Raise ConfigError for a statement after the outer commit, or before the outer begin."""
    texts = [sqltext.normalise(statement.text).lower() for statement in statements]
    partner = next((index for index, text in enumerate(texts) if text in (_COMMIT if begins else _BEGIN)), None)
    if partner is None:
        return
    stray = statements[partner + 1] if begins else statements[0]
    side, word, way = ("after", "commit", "above") if begins else ("before", "begin", "below")
    raise refused(
        file.shown,
        file.text,
        stray.start,
        f"a statement stands {side} the outer '{word};'",
        f"Move it {way} the '{word};': all of a step is one transaction.",
    )


def _without_outer_transaction(file: SqlFile) -> list[Statement]:
    if (open_ended := sqltext.unterminated(file.text)) is not None:
        offset, what = open_ended
        raise refused(
            file.shown, file.text, offset, f"unterminated {what}", "Close it: all that follows is a part of it."
        )
    statements = sqltext.split(file.text)
    begins = bool(statements) and sqltext.normalise(statements[0].text).lower() in _BEGIN
    commits = bool(statements) and sqltext.normalise(statements[-1].text).lower() in _COMMIT
    if begins != commits:
        _refuse_outside(file, statements, begins)
    if begins and commits and len(statements) > 1:
        statements = statements[1:-1]
    for statement in statements:
        if sqltext.copies_to_client(statement):
            raise refused(
                file.shown,
                file.text,
                statement.start,
                "copy from stdin or to stdout cannot run here: there is no client to send to or read from",
                "Let an entity's declaration load it into staging, or write an insert or a select.",
            )
        if not _is_control(statement):
            continue
        words = " ".join(statement.words)
        hint = "The runner opens and commits the transaction; one outer 'begin;' … 'commit;' is allowed, for psql."
        if begins != commits:
            hint = f"The file has an outer '{'begin' if begins else 'commit'};' without its partner. " + hint
        raise refused(file.shown, file.text, statement.start, f"transaction control: {words}", hint)
    if not statements:
        raise refused(file.shown, file.text, 0, "the file contains no statement", "Write one, or remove the file.")
    if not file.in_transaction and len(statements) > 1:
        offset = read_header(file.text, file.shown, SCHEMA_KEYS).places["transaction"][0]
        what = f"'transaction: off' allows one statement, and there are {len(statements)}"
        raise refused(file.shown, file.text, offset, what, "Split the file.")
    return statements
