-- Publishing the log once more, for a Kafka that has lost it: how far that is, so that one that was interrupted goes on.

create table republished (
    shard      int    primary key,
    until      bigint not null,  -- what the relay had published when it began: the rest is the relay's
    seq        bigint not null default 0,
    connector  bigint not null default 0  -- the states, in the order of the rows
);

-- Another cluster counts its offsets from 0: a record there may have the place of an older one. That each record is
-- buried once is the fence's doing.
alter table dead_letter drop constraint dead_letter_topic_partition_record_offset_key;
