-- check: 011_roles
-- severity: error
-- description: roles that are missing, or older than a record of the day
select
    staged.role_id,
    staged.updated_at,
    roles.updated_at as stored_updated_at,
    staged.source_file,
    staged.position
from stg_roles as staged
left join roles on roles.role_id = staged.role_id
where staged.day = current_setting('app.day')
    and (
        roles.role_id is null
        or (coalesce(roles.updated_at, '-infinity'), roles.version_key)
            < (coalesce(staged.updated_at, '-infinity'), (select day_order(current_setting('app.day'))))
    )
order by staged.role_id
