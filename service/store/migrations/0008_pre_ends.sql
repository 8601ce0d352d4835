-- Operators ask which credentials end soon, over all tenants.

create index credential_ends on credential (ends_at) where ends_at is not null;
