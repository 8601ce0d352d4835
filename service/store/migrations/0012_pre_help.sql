-- The documentation, cut into passages, for the questions that /help answers. Each version of the program fills an
-- edition of its own in, named by the hash of its content, so that replicas of two versions leave each other alone.

create table help_edition (
    edition bytea       primary key,
    seen_at timestamptz not null default now()
);

create table help_passage (
    edition bytea    not null references help_edition on delete cascade,
    number  int      not null,
    page    text     not null,
    anchor  text     not null,
    title   text     not null,
    heading text     not null,
    body    text     not null,
    words   tsvector not null generated always as (
        setweight(to_tsvector('english'::regconfig, title), 'A')
        || setweight(to_tsvector('english'::regconfig, heading), 'B')
        || setweight(to_tsvector('english'::regconfig, replace(page, '-', ' ')), 'C')
        || setweight(to_tsvector('english'::regconfig, body), 'D')
    ) stored,
    primary key (edition, number)
);

create index help_passage_words on help_passage using gin (words);
