-- A person's access to one account, for a while.
create table sessions (
    id text primary key not null,
    user_id text not null references users (id),
    account text not null references accounts (id),
    created_by text not null,
    created_ms integer not null,
    expires_ms integer not null,
    ended_ms integer
) strict;

create index sessions_by_user on sessions (user_id, id);
