"""What became of the entities of a day, from what landed and what was there before (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from staging_loaders.landing import Target
from staging_loaders.part import Counts, UselessFile
from staging_loaders.plan import EntityPlan, Loaded
from staging_loaders.publish import Landing

# How many files a warning names.
_NAMED = 3


@dataclass(frozen=True)
class EntityLoad:
    """What became of an entity; the counts of an `unchanged` one are those of its earlier load.

    `seconds` are those of all workers together, so that entities that were read side by side compare.
    The others are by the clock: to find the files and tell whether they are new, to read and copy
    them, to publish; entities that were loaded together have those of the whole. They are 0 where
    nothing was done. `start_seconds` is what the `engine` took to start, which is not in `copy_seconds`.
    `rows_removed` are the staging rows of an entity that had files at its earlier load and has none now.
    `useless` are files of which no record could be used, of an entity that a day must have.
    """

    entity: str
    status: Literal["loaded", "unchanged", "absent"]
    records_read: int
    rows_loaded: int
    rejects: int
    warnings: int
    files: int
    bytes: int
    seconds: float
    required: bool = False
    rows_removed: int = 0
    useless: tuple[UselessFile, ...] = ()
    plan_seconds: float = 0.0
    copy_seconds: float = 0.0
    publish_seconds: float = 0.0
    start_seconds: float = 0.0
    engine: str | None = None


@dataclass(frozen=True)
class Phases:
    """What read the entities that were landed together, and how long that took, by the clock."""

    engine: str
    plan_seconds: float
    start_seconds: float
    copy_seconds: float


def landed(plan: EntityPlan, target: Target, counts: Sequence[Counts], read: Phases) -> Landing:
    """Return what has landed of an entity, part by part, as one."""
    return Landing(
        entity=plan.entity,
        target=target,
        parts=len(counts),
        records_read=sum(count.records for count in counts),
        rows_loaded=sum(count.rows for count in counts),
        rejects=sum(count.rejects for count in counts),
        warnings=sum(count.warnings for count in counts),
        files=len(plan.files),
        bytes=plan.bytes,
        fingerprint=plan.fingerprint or "",
        seconds=sum(count.seconds for count in counts),
        plan_seconds=read.plan_seconds,
        start_seconds=read.start_seconds,
        copy_seconds=read.copy_seconds,
        engine=read.engine,
        checksum=sum(count.checksum for count in counts),
        useless=tuple(sorted((file for count in counts for file in count.useless), key=lambda file: file.name)),
    )


def outcome(
    plan: EntityPlan,
    landing: Landing | None,
    before: Loaded | None,
    *,
    useless: tuple[UselessFile, ...] = (),
    plan_seconds: float = 0.0,
    publish_seconds: float = 0.0,
) -> EntityLoad:
    """Return what became of a planned entity that has landed, or was left as it was `before`, with `useless` files.

    `plan_seconds` are those of a plan by which nothing was read.
    """
    if landing is not None:
        return EntityLoad(
            plan.entity, "loaded", landing.records_read, landing.rows_loaded, landing.rejects, landing.warnings,
            landing.files, landing.bytes, landing.seconds, plan.required, useless=landing.useless,
            plan_seconds=landing.plan_seconds, copy_seconds=landing.copy_seconds, publish_seconds=publish_seconds,
            start_seconds=landing.start_seconds, engine=landing.engine,
        )  # fmt: skip
    if not plan.present or before is None:
        removed = before.rows_loaded if before else 0
        return EntityLoad(
            plan.entity, "absent", 0, 0, 0, 0, 0, 0, 0.0, plan.required, removed, plan_seconds=plan_seconds
        )
    return EntityLoad(
        plan.entity, "unchanged", before.records_read, before.rows_loaded, before.rejects, before.warnings,
        before.files, before.bytes, 0.0, plan.required, useless=useless, plan_seconds=plan_seconds,
    )  # fmt: skip


def doubts(loads: Sequence[EntityLoad]) -> list[str]:
    """Return what a person should hear of: entities that a day must have, of which all or whole files were no use."""
    found = []
    for load in loads:
        if load.useless and load.rows_loaded:
            found.append(f"{load.entity}: {_useless(load.useless)}")
        elif load.status == "loaded" and load.required and not load.rows_loaded:
            if load.records_read:
                told = f"{load.rejects:,} of {load.records_read:,} were rejected"
                guard = "; --max-rejects N stops such a load before anything is published"
            else:
                told, guard = "its files hold no record", ""
            found.append(
                f"{load.entity} has no usable record: {told}. The steps find no row of it for this day{guard}."
            )
    return found


def _useless(files: Sequence[UselessFile]) -> str:
    """Return what is odd about files whose records were all rejected, and what it does to the day."""
    names = ", ".join(file.name for file in files[:_NAMED])
    more = f" and {len(files) - _NAMED:,} more" if len(files) > _NAMED else ""
    asked = "is it an error page?" if len(files) == 1 else "are they error pages?"
    return (
        f"{names}{more} gave no usable record ({sum(file.rejects for file in files):,} rejected): {asked} "
        "The steps take what is missing from the day for gone; --max-rejects N stops such a load."
    )
