-- A person's access to one account, for a while.
create table sessions (
    id text collate "C" primary key not null,
    user_id text collate "C" not null references users (id),
    account text collate "C" not null references accounts (id),
    created_by text not null,
    created_ms bigint not null,
    expires_ms bigint not null,
    ended_ms bigint
);

create index sessions_by_user on sessions (user_id, id);
