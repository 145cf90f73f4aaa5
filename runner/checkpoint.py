"""One checkpoint: a select of the rows that must not exist after all steps of a day. Pure."""

from __future__ import annotations

from pathlib import Path

from runner import check
from runner import step as step_module
from runner.check import CHECKPOINTS, SEVERITIES, Check

CHECKPOINT_KEYS = ("severity", "description", "timeout")


def read(path: Path, root: Path) -> Check:
    """Read the checkpoint at `path`; ConfigError where its name, header or statement is wrong."""
    file = step_module.read(path, root, CHECKPOINT_KEYS)
    header = step_module.read_header(file.text, file.shown, CHECKPOINT_KEYS)
    for key in ("severity", "description"):
        if key not in header.values:
            raise step_module.refused(
                file.shown,
                file.text,
                0,
                f"the header has no '{key}'",
                "A checkpoint begins with '-- severity: error' or 'warn', and '-- description: …'.",
            )
    severity = header.values["severity"]
    if severity not in SEVERITIES:
        raise header.refused(
            "severity",
            f"severity is {severity!r}",
            "Write 'error', which keeps the marts as they are, or 'warn', which is kept and shown.",
        )
    check.refuse_all_but_a_select(file)
    return Check(file, CHECKPOINTS, severity)
