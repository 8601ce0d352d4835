-- Sign-ins at the console: one-time links, and the sessions that they become. Their values are kept hashed.

create table console_link (
    hash         bytea       primary key,
    tenant_id    text        not null,  -- '*': the whole fleet
    scopes       text[]      not null,
    person_id    text        not null,
    person_name  text        not null,
    expires_at   timestamptz not null
);

create table console_session (
    hash         bytea       primary key,
    tenant_id    text        not null,
    scopes       text[]      not null,
    person_id    text        not null,
    person_name  text        not null,
    began_at     timestamptz not null default now(),
    used_at      timestamptz not null default now()
);
