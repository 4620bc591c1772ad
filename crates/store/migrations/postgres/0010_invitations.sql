-- People who were asked to belong to an account. One is changed by being asked anew, and gone once it is taken or withdrawn.
create table invitations (
    account text collate "C" not null references accounts (id),
    email text collate "C" not null,
    id text collate "C" not null unique,
    role text collate "C" not null,
    invited_by text collate "C" not null,
    created_ms bigint not null,
    expires_ms bigint not null,
    primary key (account, email)
);
