"""The jinja templates that write new files; nothing is rendered between an author's SQL and the server."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from runner.errors import ConfigError, UsageError


def folder() -> Path:
    """Return the templates: inside the package once installed, at the top level in the repository."""
    package = Path(str(resources.files("runner")))
    installed = package / "templates"
    return installed if installed.is_dir() else package.parent / "templates"


def render(template: str, **values: Any) -> str:
    """Return `template` filled with `values`; a value it asks for and does not get is an error."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder()),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # what is written is SQL and TOML, not HTML
    )
    return environment.get_template(template).render(values)


def write(texts: Mapping[Path, str]) -> None:
    """Write new files, all or none; UsageError where one is there already."""
    for path in texts:
        if path.exists() or path.is_symlink():
            raise UsageError(f"{path} exists already", hint="Choose another name or folder; nothing was written.")
    written: list[Path] = []
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(text)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise ConfigError(
            f"{error.filename or next(iter(texts))} cannot be written: {error.strerror}",
            hint="Choose a folder you may write to.",
        ) from error
