-- Webhooks: a position per endpoint and shard, and a row only for a connector that is behind it.

-- How far an endpoint of the settings got in a shard's log. Whoever raises the epoch owns its deliveries from then on.
create table webhook_cursor (
    endpoint       text        not null,
    shard          int         not null,
    epoch          bigint      not null default 0,
    seq            bigint      not null,
    accepted_at    timestamptz,
    failing_since  timestamptz,                 -- nothing was accepted since
    failure        text,                        -- what went wrong last
    primary key (endpoint, shard)
);

-- A connector whose event wasn't accepted: `version` is the one that it waits with; what follows is in the log.
create table webhook_parked (
    endpoint   text        not null,
    connector  bigint      not null,
    shard      int         not null,
    version    bigint      not null,
    tries      int         not null,
    since      timestamptz not null,            -- this event waits since then
    due_at     timestamptz not null,
    failure    text,
    primary key (endpoint, connector)
);

create index webhook_parked_due on webhook_parked (endpoint, shard, due_at);

-- Events that an endpoint didn't accept in all tries, while it accepted others.
create table webhook_given_up (
    endpoint   text        not null,
    connector  bigint      not null,
    version    bigint      not null,
    at         timestamptz not null default now(),
    since      timestamptz not null,
    tries      int         not null,
    failure    text        not null,
    primary key (endpoint, connector, version)
);

create index webhook_given_up_at on webhook_given_up (endpoint, at);
