-- One grant in the credentials of several connectors: refreshed by one at a time, and stored for all of them at once.

alter type connector_trigger add value 'grant_shared' after 'verify_expired';

alter table credential
    -- which grant it holds: rows of one id and one rotation hold the same refresh token, each under its own data key
    add column grant_id  uuid not null default gen_random_uuid(),
    -- counts the copies that were made of it: whoever stores what a refresh brought has to know them all
    add column copies    int  not null default 0;

create index credential_grant on credential (grant_id);
-- A copy is of the attempt that brought the grant, in another connector.
drop index credential_attempt;
create unique index credential_attempt on credential (attempt_id, connector);

-- A sign-in repairs the tenant's other failed connectors of its account: a job for each of them.
alter table job drop constraint job_kind_check;
alter table job add constraint job_kind_check check (kind in ('verify', 'retire', 'shred', 'probe', 'share'));
create unique index job_share on job (attempt_id, connector) where kind = 'share';
