-- The known ends of credentials, and when the next warning of each is due.

alter type connector_trigger add value 'expiry_near' before 'disconnect';
alter type connector_trigger add value 'expiry_moved' before 'disconnect';

alter table connector
    add column expires_at         timestamptz,
    add column expires_estimated  boolean not null default false,
    add column warned             timestamptz,
    add column warned_plan        int not null default 0;

-- `estimated`: the provider told no such end, so it is the description's.
alter table credential
    add column refresh_estimated  boolean not null default false,
    add column hard_estimated     boolean not null default false,
    add column announced_end      timestamptz,  -- a day on which the provider ends all grants
    -- kept by the trigger below
    add column ends_at            timestamptz,
    add column ends_estimated     boolean not null default false,
    add column plan               int not null default 0,  -- counts the ends that were the nearest
    add column planned_at         timestamptz,  -- since when this end is known: only warnings after it fit
    add column warn_at            timestamptz;

create index credential_warn on credential (warn_at) where warn_at is not null;

-- How long before an end its owner is warned: one row, from the settings.
create table warning_rule (
    only_one  boolean    primary key default true check (only_one),
    ahead     interval[] not null
);
insert into warning_rule (ahead) values ('{30 days,14 days,7 days,1 day}');

-- The instants at which warnings of an end are due.
create function regrant_warnings(ends timestamptz) returns setof timestamptz language sql stable as $$
    select ends - one from warning_rule, unnest(ahead) as one
$$;

-- Whoever writes an end of a credential plans its warnings by that, in the same statement, by the database's clock.
-- An end that moves by less than a minute stays: answers tell seconds that are left, which the way here takes from.
-- Where the owner was warned of the former end, the timer looks at once: that warning is taken back.
-- A hard end that moves while the credential is in use was told: an estimate counts from the consent, and stays.
create function regrant_plan_warnings() returns trigger language plpgsql as $$
declare
    idle  timestamptz := case when new.refresh_sealed is null then new.access_expires_at
        else new.refresh_expires_at end;
    ends  timestamptz := least(idle, new.hard_expires_at, new.announced_end);
begin
    if new.status <> 'current' then
        new.ends_at := null;
        new.warn_at := null;
        return new;
    end if;
    if tg_op = 'UPDATE' and old.status = 'current' and new.hard_expires_at is distinct from old.hard_expires_at then
        new.hard_estimated := false;
    end if;
    if new.ends_at between ends - interval '1 minute' and ends + interval '1 minute' then
        return new;
    end if;
    new.ends_at := ends;
    new.plan := new.plan + 1;
    new.ends_estimated := coalesce(case ends
        when new.announced_end then false
        when new.hard_expires_at then new.hard_estimated
        else new.refresh_estimated
    end, false);
    new.planned_at := case when ends in (new.hard_expires_at, new.announced_end) then new.made_at else now() end;
    new.warn_at := case
        when exists (select from connector where id = new.connector and warned is not null) then now()
        else (select min(greatest(due, now())) from regrant_warnings(ends) due where due > new.planned_at)
    end;
    return new;
end $$;

create trigger credential_plan_warnings
before insert or update of status, access_expires_at, refresh_expires_at, hard_expires_at, announced_end on credential
for each row execute function regrant_plan_warnings();

update credential set status = status where status = 'current';

-- When an account's grants were last probed because somebody said that they ended: once a minute at most.
create table probe (
    provider    text             not null,
    account_id  text collate "C" not null,
    asked_at    timestamptz      not null,
    primary key (provider, account_id)
);

alter table job drop constraint job_kind_check;
alter table job add constraint job_kind_check check (kind in ('verify', 'retire', 'shred', 'probe'));
