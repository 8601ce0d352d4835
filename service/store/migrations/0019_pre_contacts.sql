-- Contacts: whom e-mail asks when a connector needs its owner. Personal data: an address stands here and nowhere else.
create table connector_contact (
    connector   bigint      not null,
    address     text        not null,
    language    text        not null,
    told        bigint      not null default 0,  -- the newest transition that this contact's server took a message of
    refused_at  timestamptz,                     -- its server said last that it takes none for this address
    primary key (connector, address)
);
