"""The jinja templates that write new files; nothing is rendered between an author's SQL and the server."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any


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
        autoescape=False,  # what is written is SQL and TOML, not HTML
    )
    return environment.get_template(template).render(values)
