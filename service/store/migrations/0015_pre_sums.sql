-- Sums of what is tallied, so that an answer about all connectors reads a few rows, however many there are.

-- Up to where the sums are made, too. Where it differs from how far is counted (a former version counted, or the tally
-- was emptied) they are made again.
alter table tally add column summed_seq bigint;
alter table tally_notes add column summed_until timestamptz;

-- How many connectors stand in each state, as far as their log is counted.
create table tally_standing (
    provider  text            not null,
    state     connector_state not null,
    reason    text            not null,  -- '' where there is none
    number    bigint          not null,
    primary key (provider, state, reason)
);

-- How long attempts took that ended with data flowing, by the day (UTC) of their end: a histogram of each part.
create table tally_took (
    day       timestamptz not null,
    provider  text        not null,
    part      text        not null,
    bucket    smallint    not null,
    times     bigint      not null,
    alone     bigint      not null,  -- of these, without support
    took_us   bigint      not null,
    primary key (day, provider, part, bucket)
);

-- The errors of all tenants together; otherwise as tally_error.
create table tally_error_of_all (
    hour        timestamptz not null,
    provider    text        not null,
    place       text        not null,
    status      int         not null,
    code        text        not null,
    reason      text        not null,
    times       bigint      not null,
    first_at    timestamptz not null,
    last_at     timestamptz not null,
    request_id  text,
    primary key (hour, provider, place, status, code, reason)
);
