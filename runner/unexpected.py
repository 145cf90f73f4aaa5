"""Errors that nobody has translated on their way up: the server's, the operating system's, and faults of our own."""

from __future__ import annotations

import errno
import sys

from runner.errors import ConfigError, RunnerError

_OF_PATHS = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EINVAL)
_SHOWN = 400


def translate(error: Exception) -> RunnerError:
    """Return `error` as one that can be explained to the person who ran the command."""
    return (
        _of_the_server(error)
        or _of_the_system(error)
        or _of_a_name(error)
        or RunnerError(
            f"{type(error).__name__}: {error}",
            hint="This is a fault of the runner's. RUNNER_DEBUG=1 shows where it happened.",
        )
    )


def _of_the_server(error: Exception) -> RunnerError | None:
    """Return the server's own refusal, met where no file is to blame; None for any other error."""
    psycopg = sys.modules.get("psycopg")
    if psycopg is None or not isinstance(error, psycopg.Error):
        return None
    from runner import diagnosis

    return RunnerError(f"the server says: {diagnosis.primary(error)}", hint=diagnosis.hint_for(error))


def _of_the_system(error: Exception) -> RunnerError | None:
    """Return what the operating system refused: a file that may not be read, a full disk; None for any other error."""
    if not isinstance(error, OSError) or not error.strerror:
        return None
    what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RunnerError(what, hint="Free some space and run again; what was not committed is rolled back.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ConfigError(what, hint="Check who may read and write it, or set RUNNER_HOME to a folder of your own.")
    if error.filename and error.errno in _OF_PATHS:
        return ConfigError(_shortened(what), hint="Name another file or folder: the system has no such path.")
    return None


def _of_a_name(error: Exception) -> RunnerError | None:
    """Return what neither a file nor a text of the server's can be; None for any other error."""
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        shown = error.object.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        # Anything with one of these may be a connection string.
        name = "a name" if "@" in shown or "=" in shown else _shortened(shown)
        return ConfigError(f"{name}: not UTF-8", hint="Write it in UTF-8, or rename the file or folder.")
    if isinstance(error, ValueError) and str(error).startswith("embedded null"):
        return ConfigError("a path holds a NUL character", hint="No file has one in its name: look into runner.toml.")
    return None


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}…{text[-_SHOWN // 2 :]}"
