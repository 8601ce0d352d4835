-- outside a transaction
-- Somebody wants an event sent once more that an endpoint never accepted.

alter table webhook_given_up add column if not exists asked_at timestamptz;

drop index concurrently if exists webhook_given_up_asked;
create index concurrently webhook_given_up_asked on webhook_given_up (endpoint) where asked_at is not null;
