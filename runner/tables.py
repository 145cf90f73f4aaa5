"""The tables whose rows a transaction can change, as the server's catalogue has them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runner.database import Connection


@dataclass(frozen=True)
class Leaf:
    """What rows lie in: a table itself, or a partition of it; `blocks` is its size when it was looked at."""

    oid: int
    sql: str
    blocks: int


@dataclass(frozen=True)
class Table:
    """An ordinary or partitioned table; a partition is no table of its own.

    `name` is what people call it, with the schema where the search path lacks it; `sql` is fully qualified.
    `key` is the primary key, or else a unique index of columns that are never null, or else empty.
    """

    oid: int
    name: str
    sql: str
    columns: tuple[str, ...]
    generated: frozenset[str]
    comparable: frozenset[str]
    """The columns whose type knows `=`; json does not."""
    key: tuple[str, ...]
    leaves: tuple[Leaf, ...]
    partitioned: bool

    @property
    def source(self) -> str:
        """What stands behind `from` for the table's own rows."""
        return self.sql if self.partitioned else f"only {self.sql}"


# A table that another session has locked against reading would be waited for, and perhaps in vain.
_TABLES = """
with leaf as (

    select
        class.oid,
        coalesce(pg_partition_root(class.oid), class.oid::regclass)::oid as root,
        format('%I.%I', namespace.nspname, class.relname) as sql,
        pg_relation_size(class.oid) / current_setting('block_size')::bigint as blocks
    from pg_class as class
    inner join pg_namespace as namespace on namespace.oid = class.relnamespace
    where class.relkind = 'r'
        and class.relpersistence <> 't'
        and namespace.nspname not in ('pg_catalog', 'information_schema')
        and namespace.nspname !~ '^pg_'
        and has_schema_privilege(namespace.oid, 'usage')
        and has_table_privilege(class.oid, 'select')
        and class.oid not in (

            select relation
            from pg_locks
            where mode = 'AccessExclusiveLock'
                and granted
                and relation is not null
                and pid <> pg_backend_pid()

        )

),

root as (

    select
        root as oid,
        array_agg(oid order by oid) as leaf_oids,
        array_agg(sql order by oid) as leaf_sqls,
        array_agg(coalesce(blocks, 0) order by oid) as leaf_blocks
    from leaf
    group by root

),

unique_index as (

    select distinct on (index.indrelid)
        index.indrelid,
        array(

            select attribute.attname::text
            from unnest(index.indkey[0:index.indnkeyatts - 1]) with ordinality as part(number, place)
            inner join pg_attribute as attribute
                on attribute.attrelid = index.indrelid and attribute.attnum = part.number
            order by part.place

        ) as columns
    from pg_index as index
    where index.indisunique
        and index.indisvalid
        and index.indpred is null
        and index.indexprs is null
        and not exists (

            select
            from unnest(index.indkey[0:index.indnkeyatts - 1]) as part(number)
            inner join pg_attribute as attribute
                on attribute.attrelid = index.indrelid and attribute.attnum = part.number
            where not attribute.attnotnull

        )
    order by index.indrelid, index.indisprimary desc, index.indimmediate desc, index.indnkeyatts, index.indexrelid

)

select
    class.oid,
    class.oid::regclass::text,
    format('%I.%I', namespace.nspname, class.relname),
    class.relkind = 'p',
    coalesce(unique_index.columns, '{}'),
    root.leaf_oids,
    root.leaf_sqls,
    root.leaf_blocks,
    array(

        select attribute.attname::text
        from pg_attribute as attribute
        where attribute.attrelid = class.oid and attribute.attnum > 0 and not attribute.attisdropped
        order by attribute.attnum

    ),
    array(

        select attribute.attname::text
        from pg_attribute as attribute
        where attribute.attrelid = class.oid and attribute.attgenerated <> ''

    ),
    array(

        select attribute.attname::text
        from pg_attribute as attribute
        inner join pg_type as type on type.oid = attribute.atttypid
        left join pg_type as element on element.oid = type.typelem and type.typcategory = 'A'
        where attribute.attrelid = class.oid
            and attribute.attnum > 0
            and exists (

                select
                from pg_opclass as class_of
                inner join pg_am as method on method.oid = class_of.opcmethod
                where method.amname = 'btree'
                    and class_of.opcdefault
                    and class_of.opcintype = case
                        when element.oid is not null then element.oid
                        when type.typname = 'varchar' then 'text'::regtype
                        when type.typtype = 'e' then 'anyenum'::regtype
                        else type.oid
                    end

            )

    )
from root
inner join pg_class as class on class.oid = root.oid
inner join pg_namespace as namespace on namespace.oid = class.relnamespace
left join unique_index on unique_index.indrelid = root.oid
order by class.oid::regclass::text
"""


def describe(connection: Connection) -> list[Table]:
    """Return all tables that the session may read, by name; temporary ones and the server's own are left out."""
    found = connection.execute(_TABLES.encode()).fetchall()
    return [
        Table(
            oid=oid,
            name=name,
            sql=sql,
            columns=tuple(columns),
            generated=frozenset(generated),
            comparable=frozenset(comparable),
            key=tuple(key),
            leaves=tuple(map(Leaf, leaf_oids, leaf_sqls, leaf_blocks)),
            partitioned=partitioned,
        )
        for (
            oid, name, sql, partitioned, key, leaf_oids, leaf_sqls, leaf_blocks, columns, generated, comparable,
        ) in found
    ]  # fmt: skip


def resolve(connection: Connection, names: Iterable[str]) -> dict[str, str]:
    """Return name as SQL may write it -> name as SQL quotes it, for those that exist; of a partition its table's."""
    found = connection.execute(
        "select name, coalesce(pg_partition_root(to_regclass(name)), to_regclass(name))::text"
        " from unnest(%s::text[]) as given(name) where to_regclass(name) is not null",
        (sorted(set(names)),),
    )
    return dict(found.fetchall())


def quoted(name: str) -> str:
    """Return a column's name as SQL quotes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as a constant of SQL."""
    return "'" + text.replace("'", "''") + "'"
