"""Standard input and output where they are not what they should be: closed, or read by nobody."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def open_closed() -> None:
    """Give a stream that was closed (`>&-`) a place to go to, so that no file of ours takes its number."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
            except OSError:
                os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    # Bytes of a file's name that are no text, and what the terminal's encoding lacks, are written as \xff.
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def drop_dead() -> None:
    """Replace what cannot be written to any more, such as a terminal that was closed.

    The interpreter would fail to flush it at its end, and exit with 120 instead of the code it was given.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def drop_output() -> None:
    """Replace standard output, so that closing it is quiet at the interpreter's end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
