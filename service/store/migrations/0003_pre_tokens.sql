-- Refreshes ahead of time, the former refresh token for one more try, and grants that a host brings along.
alter table credential
    add column refreshed_at     timestamptz not null default now(),
    -- when the background refreshes it; a token that somebody reads is refreshed ahead, others are only kept alive
    add column refresh_due      timestamptz,
    add column refresh_wanted   boolean     not null default false,
    -- the former refresh token, sealed under its own number (`rotation - 1`)
    add column previous_sealed  bytea,
    -- an imported grant is the host's own until it counts: a refused one isn't revoked
    add column borrowed         boolean     not null default false;

create index credential_refresh_due on credential (refresh_due) where status = 'current';
