-- Somebody wants an event sent once more that an endpoint never accepted.

alter table webhook_given_up add column asked_at timestamptz;

create index webhook_given_up_asked on webhook_given_up (endpoint) where asked_at is not null;
