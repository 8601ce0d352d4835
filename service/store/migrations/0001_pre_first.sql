-- The first schema. Times are the database's; sealed values are opaque here.

create type connector_state as enum (
    'absent', 'healthy', 'failed', 'awaiting_auth', 'verifying', 'syncing', 'disconnected', 'deleted'
);

create type connector_trigger as enum (
    'register', 'update', 'sync_started', 'sync_succeeded', 'sync_failed', 'refresh_rejected', 'start_reauth',
    'grant_received', 'grant_refused', 'cancelled', 'auth_expired', 'verified', 'rejected', 'provider_unavailable',
    'verify_expired', 'sync_expired', 'reminder_due', 'disconnect', 'delete'
);

-- Ends a statement that must store all or nothing, by an error of ours: RG001 the fence is lost, RG002 a connector was
-- changed since it was read.
create function regrant_require(holds boolean, code text) returns void language plpgsql as $$
begin
    if not holds then
        raise exception 'regrant: %', code using errcode = code;
    end if;
end $$;

-- One row a shard: the next number of its log, and how far the log was published. Locking it makes its holder the
-- shard's one writer, so that `seq` order is commit order.
create table shard (
    shard           int primary key,
    next_seq        bigint not null default 1,
    published_seq   bigint not null default 0,
    relay_epoch     bigint not null default 0
);

-- One row an input partition: the consumed offset lives beside what it caused, and is the fence against zombies.
create table input_partition (
    topic        text   not null,
    partition    int    not null,
    owner_epoch  bigint not null default 0,
    next_offset  bigint not null default 0,
    primary key (topic, partition)
);

create table connector (
    id                  bigint generated always as identity primary key,
    connector_id        text collate "C" not null unique,
    shard               int             not null,
    tenant_id           text collate "C" not null,
    provider            text            not null,
    name                text            not null,
    state               connector_state not null,
    version             bigint          not null,
    revision            bigint          not null default 1,  -- counts every write, observations too: the optimistic lock
    account_id          text,
    account_name        text,
    generation          int             not null default 0,
    reason              text,
    since               timestamptz     not null,
    deadline            timestamptz,
    attempt_id          uuid,
    fallback            connector_state,
    attempt_reason      text,
    unavailable         int             not null default 0,
    failed_since        timestamptz,
    position            text,
    last_run            timestamptz,
    last_success        timestamptz,
    swapped             timestamptz,
    last_command        timestamptz,
    last_command_event  text,
    transient_failures  int             not null default 0,
    sync_asks           int             not null default 0,
    reminders           int             not null default 0
) with (fillfactor = 70);

create index connector_deadline on connector (shard, deadline) where deadline is not null;
create index connector_tenant on connector (tenant_id, connector_id);
create index connector_account on connector (provider, account_id) where account_id is not null;

-- The log, which is the outbox: ordered by `seq` inside a shard, partitioned by time, never updated.
create table transition (
    shard         int               not null,
    seq           bigint            not null,
    at            timestamptz       not null,
    connector     bigint            not null,
    version       bigint            not null,
    from_state    connector_state   not null,
    to_state      connector_state   not null,
    trigger       connector_trigger not null,
    reason        text,
    step          text,
    attempt_id    uuid,
    -- JSON, as published, kept as text: one encoder makes it, and reading it again at each insert costs as much as the row
    record        text              not null,  -- the data of the transition's record
    sync_request  text,                        -- the data of the sync request's record, where one was made
    trace         json,
    primary key (shard, seq, at)
) partition by range (at);

create index transition_connector on transition (connector, version);

-- What was observed or ignored, for the history page.
create table note (
    at          timestamptz       not null,
    connector   bigint            not null,
    outcome     text              not null,
    trigger     connector_trigger not null,
    why         text,
    reason      text,
    attempt_id  uuid,
    actor       json              not null,
    evidence    json,
    cause       text                           -- the id of the event that said it
) partition by range (at);

create index note_connector on note (connector, at);

-- Inputs that can't be handled, published to `<topic>.dlq` in the order of the shard's log.
create table dead_letter (
    shard          int         not null,
    seq            bigint      not null,
    at             timestamptz not null,
    topic          text        not null,
    partition      int         not null,
    record_offset  bigint      not null,
    record_key     bytea,
    record_value   bytea,
    header_names   bytea[]     not null,  -- a name may hold NUL, which text can't
    header_values  bytea[]     not null,
    code           text        not null,
    detail         text        not null,
    primary key (shard, seq),
    unique (topic, partition, record_offset)
);

-- Key material. `wrapped` opens only with the key-encryption key that its own bytes name.
create table data_key (
    id         bigint generated always as identity primary key,
    connector  bigint      not null,
    wrapped    bytea       not null,
    made_at    timestamptz not null default now(),
    retired    boolean     not null default false
);

create unique index data_key_of_connector on data_key (connector) where not retired;

create table attempt (
    attempt_id          uuid primary key,
    connector           bigint      not null,
    tenant_id           text        not null,
    opened_at           timestamptz not null,
    expires_at          timestamptz not null,
    person_id           text,
    person_name         text,
    return_url          text,
    completion          text        not null,
    step                text        not null default 'link_offered',
    browser_hash        bytea,
    -- the authorization request (RFC 6749 4.1.1) that is under way; a newer one replaces it
    state_hash          bytea unique,
    context             text,
    nonce               text,
    verifier_sealed     bytea,
    request_expires_at  timestamptz,
    -- what came back
    data_key            bigint,
    code_sealed         bytea,
    claimed_account     text,
    completion_hash     bytea unique,
    exchange_begun_at   timestamptz,
    -- how it ended
    ended_at            timestamptz,
    reason              text,
    expected_account    json,
    seen_account        json
);

create index attempt_connector on attempt (connector, opened_at);

create table handoff (
    hash         bytea primary key,
    attempt_id   uuid        not null,
    person_id    text        not null,
    person_name  text        not null,
    expires_at   timestamptz not null,
    consumed_at  timestamptz
);

create index handoff_attempt on handoff (attempt_id);

create table credential (
    id                  bigint generated always as identity primary key,
    connector           bigint      not null,
    generation          int         not null,
    attempt_id          uuid        not null,
    status              text        not null check (status in ('candidate', 'current', 'retiring')),
    data_key            bigint      not null,
    account_id          text        not null,
    access_sealed       bytea       not null,
    refresh_sealed      bytea,
    rotation            int         not null default 0,
    access_expires_at   timestamptz not null,
    refresh_expires_at  timestamptz,
    hard_expires_at     timestamptz,
    scope               text        not null,
    granted_by          text,
    made_at             timestamptz not null default now(),
    refresh_lease       uuid,
    refresh_until       timestamptz
);

create unique index credential_current on credential (connector) where status = 'current';
create unique index credential_attempt on credential (attempt_id);

-- Durable work with the outside, under a lease.
create table job (
    id           bigint generated always as identity primary key,
    kind         text        not null check (kind in ('verify', 'retire', 'shred')),
    connector    bigint      not null,
    attempt_id   uuid,
    run_at       timestamptz not null,
    tries        int         not null default 0,
    lease_token  uuid,
    lease_until  timestamptz,
    trace        json
);

create index job_due on job (run_at);
create unique index job_verify on job (attempt_id) where kind = 'verify';

-- Who touched what: refused callbacks, every access to a credential (never its value).
create table audit (
    at            timestamptz not null default now(),
    what          text        not null,
    tenant_id     text,
    connector_id  text,
    actor         text        not null,
    detail        json        not null default '{}'
);

create index audit_connector on audit (connector_id, at);

create table idempotency (
    tenant_id     text        not null,
    key           text        not null,
    request_hash  bytea       not null,
    began_at      timestamptz not null default now(),
    status        int,
    headers       json,
    body          bytea,
    primary key (tenant_id, key)
);
