"""Every error the runner can explain: a message, a hint, an exit code.

Nothing of ours is imported here, so that any module may raise these.
"""

from __future__ import annotations

from typing import Any


class RunnerError(Exception):
    """An error the runner can explain to the person who ran it.

    The message says what happened, the hint is one next action. Both are safe
    to print: whoever raises removes passwords first.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None, transient: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.transient = transient
        """Whether the same thing may succeed when it is tried again."""


class UsageError(RunnerError):
    """The command line names something that does not exist or does not fit."""

    exit_code = 2


class ConfigError(RunnerError):
    """A setting, a header or a declaration is wrong."""

    exit_code = 2


class DatabaseUnavailable(RunnerError):
    """No server answers, or it does not let us in, which passes unless it is said not to."""

    exit_code = 2

    def __init__(self, message: str, *, hint: str | None = None, transient: bool = True) -> None:
        super().__init__(message, hint=hint, transient=transient)


class StoreUnavailable(RunnerError):
    """No store answers where the days lie."""

    exit_code = 2


class EditedSchemaFile(RunnerError):
    """A schema file was changed after it was applied."""

    exit_code = 2


class DayNotFound(UsageError):
    """The day has no files, or lacks an entity it must have."""


class NotLoaded(UsageError):
    """The steps of a day are asked for, but its staging was never loaded."""


class LoadFailed(RunnerError):
    """The files of a day could not be loaded; staging is as it was before."""


class UnreadableFile(LoadFailed):
    """A source file cannot be read; it stops the day before anything changes."""


class TooManyRejects(LoadFailed):
    """A load rejected more records than --max-rejects allows."""


class StepFailed(RunnerError):
    """A step failed and was rolled back."""


class CheckFailed(StepFailed):
    """Checks found rows that must not exist: of a step, which was rolled back, or of a day, behind its steps.

    `results` are the `CheckResult`s of those that failed.
    """

    def __init__(
        self, message: str, *, hint: str | None = None, transient: bool = False, results: tuple[Any, ...] = ()
    ) -> None:
        super().__init__(message, hint=hint, transient=transient)
        self.results = results


class TookTooLong(RunnerError):
    """Some work was stopped, because its time limit is over."""


class MartFailed(RunnerError):
    """A mart could not be made or refreshed; where it was there before, it has the rows it had."""


class StaleData(RunnerError):
    """The newest data of a table is older than it may be."""


class BackfillFailed(RunnerError):
    """Days of a backfill were not done; the others are."""


class SchemaFailed(RunnerError):
    """A schema file failed and was rolled back."""


class DayHeld(RunnerError):
    """Another run holds the day."""

    exit_code = 3


class AlreadyServed(RunnerError):
    """Another `runner serve` runs for the same home."""

    exit_code = 3
