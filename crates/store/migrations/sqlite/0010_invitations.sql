-- People who were asked to belong to an account. One is changed by being asked anew, and gone once it is taken or withdrawn.
create table invitations (
    account text not null references accounts (id),
    email text not null,
    id text not null unique,
    role text not null,
    invited_by text not null,
    created_ms integer not null,
    expires_ms integer not null,
    primary key (account, email)
) strict, without rowid;
