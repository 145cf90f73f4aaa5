"""How far a long load is, on Prefect's page: a progress artifact, which a load that is soon over does not get."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from typing import Any

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from runner import console, sizes
from runner.progress import Advance

# Seconds after which a load is a long one, and between two looks at it.
_AFTER, _EVERY = 5.0, 5.0
_NEVER = float("inf")


class LoadPage:
    """Takes the progress of a load's entities from any thread, and shows it where the load takes long.

    Made in the flow's own thread. The server is told beside the load, which never waits for it; one that does not
    answer fails nothing: `log` is told once, and the page stays as it is.
    """

    def __init__(
        self,
        key: str,
        title: str,
        log: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        create: Callable[..., Any] = create_progress_artifact,
        update: Callable[..., Any] = update_progress_artifact,
    ) -> None:
        self._key = key
        self._title = title
        self._log = log
        self._clock = clock
        self._create = create
        self._update = update
        # In which run this is, as Prefect keeps it.
        self._context = contextvars.copy_context()
        self._lock = threading.Lock()
        self._entities: dict[str, Advance] = {}
        self._next = clock() + _AFTER
        self._sender: threading.Thread | None = None
        self._artifact: Any = None
        self._failed = False

    def __call__(self, advance: Advance) -> None:
        """Take note of how far an entity is, and have it shown where it is time to."""
        with self._lock:
            self._entities[advance.entity] = advance
            if self._clock() < self._next or (self._sender is not None and self._sender.is_alive()):
                return
            self._next = self._clock() + _EVERY
            self._start()

    def finish(self, seconds: float = 10.0) -> None:
        """Show that all is read; waits up to `seconds` for a server that is slow to answer."""
        with self._lock:
            self._next = _NEVER
        if self._sender is None:
            return
        self._sender.join(seconds)
        if not self._failed and not self._sender.is_alive():
            self._start().join(seconds)

    def _start(self) -> threading.Thread:
        self._sender = threading.Thread(target=self._context.run, args=(self._send,), name="progress", daemon=True)
        self._sender.start()
        return self._sender

    def _send(self) -> None:
        with self._lock:
            advances = sorted(self._entities.values(), key=lambda each: each.entity)
        percent, text = _percent(advances), self._text(advances)
        try:
            if self._artifact is None:
                self._artifact = self._create(progress=percent, key=self._key, description=text)
            else:
                self._update(artifact_id=self._artifact, progress=percent, description=text)
        except Exception as error:
            said = str(error).splitlines() or [type(error).__name__]
            self._log(f"the progress of the load is not shown any more: {console.printable(said[0])}")
            with self._lock:
                self._failed, self._next = True, _NEVER

    def _text(self, advances: list[Advance]) -> str:
        read = all(each.files == each.files_total for each in advances)
        heading = f"{self._title}: all files are read" if read else f"{self._title}: what is read so far"
        return "\n".join([heading, "", *(f"- {_line(each)}" for each in advances)])


def _percent(advances: list[Advance]) -> float:
    done, total = sum(each.bytes for each in advances), sum(each.bytes_total for each in advances)
    if not total:
        done, total = sum(each.files for each in advances), sum(each.files_total for each in advances)
    return round(100 * done / total, 1) if total else 100.0


def _line(each: Advance) -> str:
    files = f"{each.files:,} of {console.count(each.files_total, 'file')}"
    size = f"{sizes.shown(each.bytes)} of {sizes.shown(each.bytes_total)}"
    return (
        f"{each.entity}: {files}, {size}, {console.count(each.records, 'record')},"
        f" {console.count(each.rejects, 'reject')}"
    )
