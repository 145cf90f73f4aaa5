"""Random days for Hypothesis: few ids, few times, many ties and collisions, and every kind of drift."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.generator.files import as_array, as_csv, as_gzip, as_lines, as_results, encode, number

Files = dict[str, bytes]
Application = tuple[str, Files]

ABSENT = object()

# A time that is often the same, sometimes the same in other words, rarely none.
times = st.sampled_from(
    [
        "2026-03-05T12:00:00Z",
        "2026-03-05T12:00:00Z",
        "2026-03-05T13:00:00+01:00",
        "2026-03-06T12:00:00Z",
        "2026-03-06 12:00",
        "2026-03-06T12:00:00.0000005Z",
        "2026-03-07T23:30:00-01:00",
        "0001-01-01T00:00:00Z",
        None,
        ABSENT,
        "soon",
    ]
)
junk: SearchStrategy[Any] = st.sampled_from(
    [None, "", " ", "x", True, 1.5, number("1e3"), [], {}, [1], {"a": 1}, "\x00"]
)
_words = st.sampled_from(["a", "b", "Zoë", "7", "true", "half \ud83d", "", number("1.50"), False])


def mostly(good: SearchStrategy[Any], bad: SearchStrategy[Any] = junk, share: int = 30) -> SearchStrategy[Any]:
    """Draw from `good`, once in `share` times from `bad`."""
    return st.integers(1, share).flatmap(lambda roll: bad if roll == share else good)


def identifiers(most: int) -> SearchStrategy[Any]:
    """Draw an integer id, at times as a string or a float."""
    return st.integers(1, most).flatmap(
        lambda one: st.sampled_from([one, one, one, one, str(one), f" +{one} ", one + 0.0])
    )


def arrays(most: int) -> SearchStrategy[Any]:
    """Draw an array of ids, at times none, or with elements that are no ids."""
    element = mostly(identifiers(most), share=16)
    return mostly(st.lists(element, max_size=3), st.sampled_from([None, ABSENT, "1,2", {}, 1, "[1]"]), share=8)


def records(**fields: SearchStrategy[Any]) -> SearchStrategy[Any]:
    """Draw an object with these fields; once in a while something that is no object."""
    objects = st.fixed_dictionaries(fields).map(
        lambda record: {name: value for name, value in record.items() if value is not ABSENT}
    )
    return mostly(objects, st.sampled_from([None, "text", 17, [], {}]), share=40)


def nested(**fields: SearchStrategy[Any]) -> SearchStrategy[Any]:
    """Draw an inner object, at times something else in its place."""
    objects = st.fixed_dictionaries(fields).map(
        lambda record: {name: value for name, value in record.items() if value is not ABSENT}
    )
    return mostly(objects, st.sampled_from([None, ABSENT, "text", 5, []]), share=16)


_required = mostly(_words.filter(bool))
# Often enough a record that is rejected but names who is there, before or after that agent is known.
_email = mostly(_required, st.sampled_from([None, " ", [], ABSENT]), share=7)
_AGENT: dict[str, SearchStrategy[Any]] = {
    "id": mostly(identifiers(4)),
    "contact": nested(
        email=_email,
        name=_required,
        job_title=mostly(_words),
        last_login_at=times,
        phone=st.sampled_from([ABSENT, None, "1"]),
    ),
    "email": st.sampled_from([ABSENT, ABSENT, None, "flat@example.com", {}]),
    "name": st.sampled_from([ABSENT, ABSENT, None, "Flat"]),
    "phone": st.sampled_from([ABSENT, "2", []]),
    "available": mostly(st.sampled_from([True, False, "true", "false", ABSENT])),
    "ticket_scope": mostly(st.sampled_from([1, "2", ABSENT])),
    "updated_at": times,
}
agents = records(**_AGENT)
details = records(**_AGENT, role_ids=arrays(2))
groups = records(
    id=mostly(identifiers(5)),
    name=_required,
    parent_group_id=mostly(st.one_of(st.none(), identifiers(6))),
    agent_ids=arrays(5),
    updated_at=times,
)
roles = records(
    id=mostly(identifiers(3)),
    name=_required,
    default=mostly(st.sampled_from([True, "false", ABSENT])),
    agent_type=mostly(st.sampled_from([1, "2", ABSENT])),
    updated_at=times,
)
amounts = mostly(
    st.sampled_from([0, 1, 12.5, "12.50", number("1e2"), number("0.10"), ABSENT]),
    st.sampled_from([-1, "-0.5", "x", [], None]),
)
budgets = records(
    id=mostly(st.sampled_from(["b1", "b2", 1])),
    name=mostly(_words),
    retired=mostly(st.sampled_from([True, False, "true"])),
    startDate=mostly(st.sampled_from(["2026-02-28", "2026-02-29", None])),
    currentPeriod=nested(
        limit=amounts, assigned=amounts, spent=nested(cleared=amounts, pending=amounts, total=amounts)
    ),
)
cards = records(
    id=mostly(st.sampled_from(["c1", "c2", 1])),
    status=_required,
    type=_required,
    lastFour=mostly(st.sampled_from(["0042", 42])),
    recurringLimit=amounts,
    currentPeriod=nested(limit=amounts, spent=amounts),
    createdTime=mostly(st.just("2026-01-01T00:00:00Z")),
    updatedTime=times,
)
transactions = records(
    id=mostly(st.sampled_from(["t1", "t2", "t3", 1])),
    uuid=_required,
    merchantName=mostly(_words),
    occurredTime=mostly(
        st.sampled_from(
            [
                "2026-03-05T12:00:00Z",
                "2026-03-08T01:00:00+02:00",
                "2022-03-05T00:00:00Z",
                "2022-03-08T23:59:59.999999Z",
                "2022-03-08T23:59:59-01:00",
                "1998-12-31T12:00:00Z",
                "0001-01-01T00:00:00Z",
                "9999-12-31T23:59:59Z",
            ]
        )
    ),
    updatedTime=times,
    currencyData=nested(
        originalCurrencyAmount=mostly(
            st.sampled_from([0, 1, -5, "1250", number("1e3"), 999_999_999_999_999_999]),
            st.sampled_from([10**18, -(10**18), 12.5, "1.0", None, True]),
        ),
        originalCurrencyCode=mostly(
            st.sampled_from(["USD", "EUR", "JPY", "KWD", "RUB", "XAU", "VND"]),
            st.sampled_from(["usd", "BGN", "", None, 840]),
        ),
        exponent=mostly(st.sampled_from([ABSENT, None, 0, 2, "3", 9]), st.sampled_from([10, -1, "two", 1.5, [], "10"])),
        exchangeRate=mostly(
            st.sampled_from([ABSENT, 0, -1, 1.5, "0.00000000005", "0.00000000004", number("2.5e-3"), number("1e25")])
        ),
    ),
)

_LISTS: dict[str, SearchStrategy[list[Any]]] = {
    "agents": st.lists(agents, max_size=5),
    "agent_details": st.lists(details, min_size=1, max_size=4),
    "admin_groups": st.lists(groups, max_size=6),
    "roles": st.lists(roles, min_size=1, max_size=4),
    "budgets": st.lists(budgets, max_size=3),
    "cards": st.lists(cards, max_size=3),
    "transactions": st.lists(transactions, max_size=5),
}
# A world so narrow that days applied again meet the same few records in every state.
_two = st.integers(1, 2)
_narrow_agent = {**_AGENT, "id": _two, "updated_at": st.just("2026-03-05T12:00:00Z")}
_NARROW: dict[str, SearchStrategy[list[Any]]] = {
    "agents": st.lists(records(**_narrow_agent), max_size=2),
    "agent_details": st.lists(records(**{**_narrow_agent, "role_ids": arrays(2)}), max_size=2),
    "admin_groups": st.lists(
        records(id=_two, name=_required, parent_group_id=st.one_of(st.none(), _two), agent_ids=arrays(2)), max_size=3
    ),
    "roles": st.lists(records(id=_two, name=_required), max_size=2),
    "budgets": st.just([]),
    "cards": st.just([]),
    "transactions": st.lists(transactions, max_size=1),
}
_OPTIONAL = ("agent_details", "roles", "budgets", "cards")
# In this order as plain strings: page-10 before page-2.
_NAMES = ("page-10", "page-2", "x/page-1")


def write(entity: str, name: str, form: str, content: list[Any]) -> Files:
    """Return one file of an entity in one of the forms."""
    if form == "csv" and all(isinstance(record, dict) for record in content):
        return {f"{entity}/{name}.csv": as_csv(entity, content)}
    if form == "single" and len(content) == 1 and isinstance(content[0], dict):
        return {f"{entity}/{name}.json": b"\xef\xbb\xbf" + encode(content[0]).encode()}
    if form == "array":
        return {f"{entity}/{name}.json": as_array(content)}
    if form == "results":
        return {f"{entity}/{name}.json": as_results(content)}
    if form == "gz":
        return {f"{entity}/{name}.jsonl.gz": as_gzip(as_lines(content))}
    return {f"{entity}/{name}.ndjson": as_lines(content)}


def _twin(record: dict[str, Any], word: Any) -> dict[str, Any]:
    """Return another record of the same key and time, for the end of the last file."""
    return {**record, **{name: word for name in ("name", "merchantName", "lastFour") if name in record}}


@st.composite
def days(draw: st.DrawFn, narrow: bool = False) -> Files:
    """Draw the files of one day."""
    files: Files = {}
    for entity, contents in (_NARROW if narrow else _LISTS).items():
        if entity in _OPTIONAL and draw(st.integers(1, 8)) == 8:
            continue
        content = draw(contents)
        first = content[0] if content else None
        if isinstance(first, dict) and draw(st.booleans()):
            content = [*content, _twin(first, draw(_words))]
        cut = draw(st.integers(0, len(content)))
        parts = [part for part in (content[:cut], content[cut:]) if part] or [[]]
        for name, part in zip(_NAMES, parts, strict=False):
            form = draw(st.sampled_from(["results", "array", "lines", "single", "gz", "csv"]))
            files.update(write(entity, name, form, part))
    return files


# Natural order differs from plain order, and there are ties.
NAMES = ("day1", "day2", "day10", "day02")


@st.composite
def histories(draw: st.DrawFn, most: int = 5, narrow: bool = False) -> list[Application]:
    """Draw applications of days in any order, some repeated, some again with other files."""
    names = draw(st.lists(st.sampled_from(NAMES[1:3] if narrow else NAMES), min_size=1, max_size=most))
    result: list[Application] = []
    for name in names:
        earlier = [files for day, files in result if day == name]
        if earlier and draw(st.booleans()):
            result.append((name, draw(st.sampled_from(earlier))))
        else:
            result.append((name, draw(days(narrow))))
    return result


@st.composite
def reorderings(draw: st.DrawFn) -> tuple[list[Application], list[Application]]:
    """Draw a set of days in two orders, the second with repetitions."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    applications = [(name, draw(days())) for name in names]
    repeated = draw(st.lists(st.sampled_from(applications), max_size=2))
    return applications, draw(st.permutations(applications + repeated))
