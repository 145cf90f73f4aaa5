-- check: 020_groups
-- severity: error
-- description: groups that are missing, or older than a record of the day
select
    staged.group_id,
    staged.updated_at,
    groups.updated_at as stored_updated_at,
    staged.source_file,
    staged.position
from stg_admin_groups as staged
left join groups on groups.group_id = staged.group_id
where staged.day = current_setting('app.day')
    and (
        groups.group_id is null
        or (coalesce(groups.updated_at, '-infinity'), groups.version_key)
            < (coalesce(staged.updated_at, '-infinity'), (select day_order(current_setting('app.day'))))
    )
order by staged.group_id
