create table stg_members (day text not null, member_id bigint not null, email text, plan text, updated_at timestamptz, source_file text not null, position bigint not null);
create table stg_teams (day text not null, team_id bigint not null, name text, parent_id bigint, member_ids bigint[], updated_at timestamptz, source_file text not null, position bigint not null);
create table members (member_id bigint primary key, email text, plan text, updated_at timestamptz, loaded_at timestamptz default now());
create table teams (team_id bigint primary key, name text, parent_id bigint, updated_at timestamptz, root_id bigint, depth integer);
create table team_members (team_id bigint, member_id bigint, primary key (team_id, member_id));
