-- What the provider showed, told by the person after the deadline; and an attempt that is handed to somebody else.

alter type connector_trigger add value 'handed_on' after 'auth_expired';
alter type connector_trigger add value 'explained' after 'handed_on';

-- The attempt that ended last without a grant: only that one is explained.
alter table connector add column last_attempt uuid;

-- A colleague whom the person named is nobody of the host's whom we know.
alter table handoff alter column person_id drop not null;

-- A browser that comes back with an answer to an older request of its own finds the newest.
create index attempt_browser on attempt (browser_hash) where browser_hash is not null;
