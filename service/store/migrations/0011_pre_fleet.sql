-- What many connectors tell together. The tally is made from the log alone, in the order of each shard's numbers, and is
-- made again from nothing where it is emptied.

-- How far each shard's log is counted.
create table tally (
    shard  int    primary key,
    seq    bigint not null
);

-- Up to when notes are counted, which have no number.
create table tally_notes (
    only_one  boolean     primary key default true check (only_one),
    until     timestamptz not null
);

-- How often connectors went from a state and reason to another, by the hour.
create table tally_hour (
    hour         timestamptz     not null,
    provider     text            not null,
    from_state   connector_state not null,
    from_reason  text            not null,  -- '' where there is none
    to_state     connector_state not null,
    to_reason    text            not null,
    times        bigint          not null,
    failures     bigint          not null,  -- of these, those that told of a failure
    primary key (hour, provider, from_state, from_reason, to_state, to_reason)
);

-- Each attempt as the log tells it. One that is replaced, or imported, is one, too.
create table tally_attempt (
    connector     bigint      not null,
    version       bigint      not null,  -- of the transition that opened it
    attempt_id    uuid        not null,
    tenant_id     text collate "C" not null,
    provider      text        not null,
    opened_at     timestamptz not null,
    generation    int         not null,  -- before it
    failed_at     timestamptz,           -- the first failure since the last success, if there was one
    try           int         not null,  -- the how manieth for this trouble
    helped        boolean     not null,  -- an operator had a hand in it, or in an earlier try
    step          smallint    not null,  -- the furthest, by its place among the steps
    returned_at   timestamptz,
    sent_at       timestamptz,           -- when its code was sent, where that was still known when it was counted
    saved_at      timestamptz,
    ended_at      timestamptz,           -- null: under way
    ending        text,
    reason        text,
    primary key (connector, version)
);

create index tally_attempt_opened on tally_attempt (opened_at)
    include (provider, step, ending, reason, try);
create index tally_attempt_connected on tally_attempt (ended_at)
    include (provider, opened_at, failed_at, returned_at, sent_at, saved_at, try, helped) where ending = 'connected';
create index tally_attempt_tenant on tally_attempt (tenant_id, opened_at);

-- What providers answered, as transitions and notes hold it.
create table tally_error (
    hour        timestamptz not null,
    tenant_id   text collate "C" not null,
    provider    text        not null,
    place       text        not null,
    status      int         not null,  -- 0 where there is none, as '' is in the next ones
    code        text        not null,
    reason      text        not null,
    times       bigint      not null,
    first_at    timestamptz not null,
    last_at     timestamptz not null,
    request_id  text,
    primary key (hour, tenant_id, provider, place, status, code, reason)
);

-- The log by time, and the notes: what is written last lies last, so a range of blocks tells a range of time. Next to
-- nothing to keep.
create index transition_at on transition using brin (at) with (pages_per_range = 16, autosummarize = on);
create index note_at on note using brin (at) with (pages_per_range = 16, autosummarize = on);

-- Connectors that something is the matter with, over all tenants: few of many.
create index connector_not_healthy on connector (state, connector_id) where state not in ('healthy', 'deleted');

-- Dead letters for people: the newest first, and what became of each.
create index dead_letter_at on dead_letter (at, shard, seq);
create table dead_letter_fate (
    shard       int         not null,
    seq         bigint      not null,
    fate        text        not null check (fate in ('replay', 'drop')),
    decided_at  timestamptz not null default now(),
    decided_by  text        not null,
    sent_at     timestamptz,           -- of a replay: when Kafka had it again
    primary key (shard, seq)
);
create index dead_letter_to_send on dead_letter_fate (decided_at) where fate = 'replay' and sent_at is null;
