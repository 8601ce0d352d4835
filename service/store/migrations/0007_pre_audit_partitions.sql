-- The audit by month, as the log is: each read of a token leaves a row, so it is dropped by whole months or never.

alter table audit rename to audit_before;
drop index audit_connector;

create table audit (
    at            timestamptz not null default now(),
    what          text        not null,
    tenant_id     text,
    connector_id  text,
    actor         text        not null,
    detail        json        not null default '{}'
) partition by range (at);

create index audit_connector on audit (connector_id, at);

-- The months of what is there, and this one: whoever leaves a row needs it at once.
do $$
declare
    month timestamp;
begin
    for month in select date_trunc('month', at at time zone 'utc') from audit_before
        union select date_trunc('month', now() at time zone 'utc')
    loop
        execute format(
            'create table %I partition of audit for values from (%L) to (%L)', 'audit_' || to_char(month, 'YYYY_MM'),
            month at time zone 'utc', (month + interval '1 month') at time zone 'utc'
        );
    end loop;
end $$;

insert into audit select * from audit_before;
drop table audit_before;
