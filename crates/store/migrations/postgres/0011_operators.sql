-- People who are operators: what they may do as such, as a list in JSON; null of whoever is none.
alter table users add column operator_permissions text;

-- Few people are.
create index users_operators on users (id) where operator_permissions is not null;

-- When a session's person last proved in it who they are.
alter table sessions add column proved_ms bigint;

-- One row at most: the link on which the first operator is made.
create table setup_link (
    id bigint primary key not null check (id = 1),
    digest bytea not null,
    created_ms bigint not null,
    expires_ms bigint not null,
    used_ms bigint
);
