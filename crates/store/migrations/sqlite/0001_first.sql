-- Times are milliseconds since the Unix epoch, booleans 0 or 1, ids their own text.

create table accounts (
    id text primary key not null,
    name text not null,
    standing text not null,
    metadata text not null,
    created_ms integer not null,
    updated_ms integer not null,
    version integer not null
) strict, without rowid;

-- The account that owns the operators' keys; core::id::AccountId::OPERATOR.
insert into accounts (id, name, standing, metadata, created_ms, updated_ms, version)
values ('acc_00000000000000000000000000', 'operator', 'active', '{}', 0, 0, 1);

create table users (
    id text primary key not null,
    email text not null unique,
    password_hash text not null,
    created_ms integer not null
) strict, without rowid;

create table members (
    account text not null references accounts (id),
    user_id text not null references users (id),
    role text not null,
    created_ms integer not null,
    primary key (account, user_id)
) strict, without rowid;

create index members_by_user on members (user_id);

-- Rows are wide (metadata), so this table keeps its rowid and secrets, small and looked up most, does not.
create table keys (
    id text primary key not null,
    account text not null references accounts (id),
    kind text not null,
    name text not null,
    description text not null,
    environment text,
    role text,
    services text not null,
    permissions text not null,
    ip_allowlist text not null,
    expires_ms integer,
    credits integer,
    refill_amount integer,
    refill_every_ms integer,
    refill_ms integer,
    ratelimits text not null,
    metadata text not null,
    enabled integer not null,
    revoked_ms integer,
    prefix text not null,
    last_four text not null,
    created_by text not null,
    created_ms integer not null,
    updated_ms integer not null,
    rotated_ms integer,
    last_used_ms integer,
    last_used_ip text,
    last_used_agent text,
    version integer not null
) strict;

create index keys_by_account on keys (account, id);

-- What counting an account's live keys reads, and no more.
create index keys_unrevoked on keys (account, kind, expires_ms) where revoked_ms is null;

create table secrets (
    digest blob primary key not null,
    key_id text not null references keys (id),
    pepper integer not null,
    form integer not null,
    prefix text not null,
    last_four text not null,
    created_ms integer not null,
    expires_ms integer
) strict, without rowid;

create index secrets_by_key on secrets (key_id);

-- No reference to keys: counts are written in bulk, for keys that were just verified and are never deleted.
create table usage (
    key_id text not null,
    hour integer not null,
    outcome text not null,
    tag text not null,
    count integer not null,
    primary key (key_id, hour, outcome, tag)
) strict, without rowid;

create table audit (
    seq integer primary key not null,
    at_ms integer not null,
    actor text not null,
    action text not null,
    target text not null,
    account text,
    request_id text,
    detail text not null,
    link blob not null
) strict;

create index audit_by_account on audit (account, seq);
create index audit_by_target on audit (target, seq);

-- One row: where the log ends.
create table audit_head (
    id integer primary key not null check (id = 1),
    seq integer not null,
    link blob not null
) strict;

insert into audit_head (id, seq, link) values (1, 0, zeroblob(32));

create table keyring (
    purpose text not null,
    version integer not null,
    sealed blob not null,
    created_ms integer not null,
    primary key (purpose, version)
) strict, without rowid;

create table replays (
    caller text not null,
    idem_key text not null,
    request_hash blob not null,
    target text not null,
    created_ms integer not null,
    primary key (caller, idem_key)
) strict, without rowid;

create index replays_by_age on replays (created_ms);
