-- Which key-encryption key each data key is wrapped by, which of them are retired, and which credential is the newest
-- under a data key: an older row that is put back alone is told by that.

-- The number in a wrapped data key (service/vault/envelope.py); 0 of what is none.
create function wrapping_key(wrapped bytea) returns bigint language sql immutable parallel safe as $$
    select case when length(wrapped) < 5 then 0 else
        get_byte(wrapped, 1)::bigint * 16777216 + get_byte(wrapped, 2) * 65536
        + get_byte(wrapped, 3) * 256 + get_byte(wrapped, 4)
    end
$$;

alter table data_key add column key_number bigint generated always as (wrapping_key(wrapped)) stored;
create index data_key_number on data_key (key_number);

-- Key-encryption keys that nothing may be wrapped by any more, also by a process that doesn't know it yet.
create table retired_key (
    number      bigint primary key,
    retired_at  timestamptz not null default now()
);

alter table data_key add column newest_generation int not null default 0;
alter table data_key add column newest_rotation int not null default 0;

create function note_newest() returns trigger language plpgsql as $$
begin
    update data_key set newest_generation = new.generation, newest_rotation = new.rotation
    where id = new.data_key and connector = new.connector
      and (newest_generation, newest_rotation) < (new.generation, new.rotation);
    return null;
end $$;

-- Whatever statement makes a credential the current one, or rotates it.
create trigger credential_newest after insert or update of status, rotation, generation on credential
for each row when (new.status = 'current') execute function note_newest();

update data_key set newest_generation = k.generation, newest_rotation = k.rotation
from credential k where k.data_key = data_key.id and k.status = 'current';
