"""All SQL files of a project, linted together."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner import catalog as catalogs
from runner import check, checkpoint
from runner.catalog import Catalog
from runner.errors import ConfigError
from runner.lint import (
    declared,
    files,
    marts,
    metrics,
    orders,
    snapshots,
    steps,
    suppress,
    transactions,
    upserts,
    values,
)
from runner.lint.names import Report as ReportFinding
from runner.lint.resolve import Resolver
from runner.lint.rules import Finding
from runner.lint.source import Kind, Source, refusal
from runner.sqltree import Node, Statement


@dataclass(frozen=True)
class Report:
    """The findings, in the order of files and lines, and how many files were looked at."""

    findings: tuple[Finding, ...]
    files: int

    def count(self, severity: str) -> int:
        """Return how many findings have a severity."""
        return sum(finding.rule.severity == severity for finding in self.findings)


@dataclass
class _Pipeline:
    schema: list[Source]
    steps: list[Source]
    checks: list[Source]
    marts: list[Source]
    checkpoints: list[Source]

    @property
    def sources(self) -> list[Source]:
        return [*self.schema, *self.steps, *self.checks, *self.marts, *self.checkpoints]


def lint(root: Path, pipelines: Sequence[str], wanted: Collection[Path] | None = None) -> Report:
    """Return what is wrong in the SQL files of these pipelines.

    `wanted` are the files to report on (resolved paths); the others are still read, for what they
    make and write. A file that belongs to no pipeline is taken for a step.
    """
    found = [_read(root, root / "migrations" / name) for name in pipelines]
    known = {source.path.resolve() for pipeline in found for source in pipeline.sources}
    strays = [files.read(path, root, _kind(path)) for path in sorted(set(wanted or ()) - known)]
    catalog = catalogs.of_the_runner()
    _schemas(found, catalog)
    for pipeline in found:
        for source in pipeline.steps:
            examine(source, catalog)
        for source in pipeline.checks:
            _resolve(source, catalog)
            _check_check(source, pipeline)
        files.check_numbers(pipeline.schema)
        files.check_numbers(pipeline.steps)
        steps.check(pipeline.steps)
        steps.check_marts(pipeline.steps, pipeline.marts)
    # Behind the steps, which know no marts; checkpoints may compare the day with what readers have.
    for pipeline in found:
        for source in pipeline.marts:
            _mart(source, catalog)
        for source in pipeline.checkpoints:
            _resolve(source, catalog)
            _check_checkpoint(source)
        files.check_numbers(pipeline.marts)
    for source in strays:
        if source.kind == "step":
            examine(source, catalog)
        elif source.kind == "mart":
            _mart(source, catalog)
        else:
            _resolve(source, catalog)
    sources = [source for pipeline in found for source in pipeline.sources] + strays
    for source in sources:
        suppress.apply(source)
    chosen = [s for s in sources if wanted is None or s.path.resolve() in wanted]
    findings = [f for s in chosen for f in sorted(s.findings, key=lambda f: (f.line, f.column, f.rule.id))]
    return Report(tuple(findings), len(chosen))


def _read(root: Path, folder: Path) -> _Pipeline:
    kinds: tuple[tuple[Path, Kind], ...] = (
        (folder / "schema", "schema"),
        (folder, "step"),
        (folder / "checks", "check"),
        (folder / "marts", "mart"),
        (folder / "checkpoints", "checkpoint"),
    )
    schema, steps, checks, marts_, checkpoints = (
        [files.read(path, root, kind) for path in _paths(place)] for place, kind in kinds
    )
    for sources in (schema, steps, marts_):
        sources.sort(key=lambda s: (s.number if s.number is not None else 10**9, s.name))
    return _Pipeline(schema, steps, checks, marts_, checkpoints)


def _paths(folder: Path) -> list[Path]:
    return sorted(folder.glob("[!._]*.sql")) if folder.is_dir() else []


def _kind(path: Path) -> Kind:
    kinds: dict[str, Kind] = {"schema": "schema", "checks": "check", "checkpoints": "checkpoint", "marts": "mart"}
    return kinds.get(path.parent.name, "step")


def _schemas(pipelines: Sequence[_Pipeline], catalog: Catalog) -> None:
    """Resolve the schema files, each statement against what stands before it."""
    for pipeline in pipelines:
        for source in pipeline.schema:
            catalog.is_open |= source.is_too_deep
            known = catalog.is_open
            resolver = Resolver(catalog, _reporter(source, len(pipelines) == 1))
            for statement in source.statements:
                _guarded(resolver, statement)
                catalog.add([statement])
            source.script = resolver.script
            if source.file is not None and source.file.upgrades:
                # It ends in what the files before it make, whatever its blocks do on the way.
                catalog.is_open = known
            transactions.check(source)
            upserts.check(source)


def _reporter(source: Source, knows_all: bool) -> ReportFinding:
    """Return what takes the resolver's findings; of several pipelines the order is not known, so neither are tables."""

    def report(rule: str, node: Node, message: str) -> None:
        if knows_all or rule != "unknown-table":
            source.report(rule, node, message)

    return report


def _resolve(source: Source, catalog: Catalog) -> None:
    resolver = Resolver(catalog, source.report)
    for statement in source.statements:
        _guarded(resolver, statement)
    source.script = resolver.script


def _guarded(resolver: Resolver, statement: Statement) -> None:
    try:
        resolver.statement(statement)
    except RecursionError:
        resolver.script.is_opaque = True  # nested deeper than a person writes: left to the server


def examine(source: Source, catalog: Catalog) -> None:
    """Report what is wrong in a step, but for what only the other files tell."""
    _resolve(source, catalog)
    transactions.check(source)
    if not source.statements:
        return
    try:
        metrics.check(source)
        snapshots.check(source)
        upserts.check(source)
        values.check(source)
        orders.check(source)
        declared.check(source, catalog)
    except RecursionError:
        pass  # as above


def _mart(source: Source, catalog: Catalog) -> None:
    """Resolve a mart, each statement against what stands before it, and take in what it makes."""
    resolver = Resolver(catalog, source.report)
    for statement in source.statements:
        _guarded(resolver, statement)
        catalog.add([statement])
    source.script = resolver.script
    transactions.check(source)
    with contextlib.suppress(RecursionError):  # as above
        marts.check(source)


def _check_checkpoint(source: Source) -> None:
    if source.number is None and not source.text:
        return
    try:
        checkpoint.read(source.path, source.path.parents[3])
    except ConfigError as error:
        message = error.message.partition(source.path.name)[2] or error.message
        source.report_at("bad-checkpoint", *refusal(source, ConfigError(message)))


def _check_check(source: Source, pipeline: _Pipeline) -> None:
    if source.number is None and not source.text:
        return
    steps = [step.file for step in pipeline.steps if step.file is not None]
    try:
        check.read(source.path, source.path.parents[3], steps)
    except ConfigError as error:
        message = error.message.partition(source.path.name)[2] or error.message
        source.report_at("bad-check", *refusal(source, ConfigError(message)))
