-- When the browser's session began, in an attempt that it went on with by itself: an hour later the host is asked again.
alter table attempt add column session_began timestamptz;

-- What limits attempts is counted by their rows: a tenant's of the last minute, and its open ones.
create index attempt_tenant on attempt (tenant_id, opened_at);
create index attempt_open on attempt (tenant_id) where ended_at is null;
create index attempt_ended on attempt (ended_at) where ended_at is not null;

-- Which environment (sandbox, production) of a provider the accounts of this database belong to.
create table provider_environment (
    provider     text primary key,
    environment  text not null
);
