"""What went wrong in Spark, told by its cause: a session that does not start, a part, a process that died."""

from __future__ import annotations

import re
from collections.abc import Mapping

from runner.errors import LoadFailed

_REASON = re.compile(r"^([A-Za-z_][\w.]*(?:Error|Exception|Interrupt|[a-z]Failed|Unavailable)\w*: .+)$", re.MULTILINE)
_WORKER_DIED = ("Python worker exited unexpectedly", "Python worker failed to connect back")
_FULL = re.compile("No space left on device|Disk quota exceeded")
_SHORT = "Is the machine short of memory?"
# Of settings that are shorter, the value may stand in a message by chance.
_TELLING = 3
_NAMED = 5


def no_start(reason: str, given: Mapping[str, str]) -> LoadFailed:
    """Return the error of a session that does not start; `given` are the project's settings by their full names."""
    blamed = [key for key, value in given.items() if len(value) >= _TELLING and value in reason] or list(given)
    hint = "Check Java and memory with: runner doctor"
    if blamed:
        names = ", ".join(key.removeprefix("spark.") for key in blamed[:_NAMED])
        hint = f"Check what runner.toml sets under [spark]: {names}. Java and memory are looked at by: runner doctor"
    if _FULL.search(reason):
        hint = "Free space there, or set TMPDIR (and spark.local.dir, if it is set) to a folder on a larger disk."
    return LoadFailed(f"Spark does not start: {reason}", hint=hint)


def of_jvm(ended: str, short_of_heap: bool, again: bool) -> LoadFailed:
    """Return the error of a load whose JVM died; `ended` says how, `short_of_heap` that it had asked for more.

    `again` says that another one may be started for the next attempt.
    """
    told = f"Spark's JVM died in the middle of the load: {ended}"
    if short_of_heap:
        hint = "Nothing was changed. It was short of heap; give it more: driver.memory under [spark] in runner.toml"
        return LoadFailed(told, hint=hint)
    hint = f"Nothing was changed; try again. {_SHORT} A load without Spark takes less: --engine local"
    return LoadFailed(told, hint=hint, transient=again)


def of_part(text: str) -> LoadFailed:
    """Return the error of a part, with the worker's own reason, which Spark wraps twice in its `text`."""
    if any(words in text for words in _WORKER_DIED):
        return LoadFailed(
            "a Python worker of Spark died in the middle of the load",
            hint=f"Nothing was changed; try again. {_SHORT} One page or file is held at a time.",
        )
    reasons = _REASON.findall(text)
    python = [reason for reason in reasons if not reason.startswith(("org.apache", "java."))]
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(("Traceback", "\t"))]
    reason = (python or reasons or lines or ["no reason given"])[-1]
    return LoadFailed(f"a part of the load failed: {reason}", hint="Nothing was changed; try again.")
