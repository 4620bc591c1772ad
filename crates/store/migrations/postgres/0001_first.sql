-- Times are milliseconds since the Unix epoch, booleans 0 or 1, ids their own text.
-- Ids and whatever else is looked up sort by their bytes, as on SQLite.

create table accounts (
    id text collate "C" primary key not null,
    name text not null,
    standing text not null,
    metadata text not null,
    created_ms bigint not null,
    updated_ms bigint not null,
    version bigint not null
);

-- The account that owns the operators' keys; core::id::AccountId::OPERATOR.
insert into accounts (id, name, standing, metadata, created_ms, updated_ms, version)
values ('acc_00000000000000000000000000', 'operator', 'active', '{}', 0, 0, 1);

create table users (
    id text collate "C" primary key not null,
    email text collate "C" not null unique,
    password_hash text not null,
    created_ms bigint not null
);

create table members (
    account text collate "C" not null references accounts (id),
    user_id text collate "C" not null references users (id),
    role text not null,
    created_ms bigint not null,
    primary key (account, user_id)
);

create index members_by_user on members (user_id);

create table keys (
    id text collate "C" primary key not null,
    account text collate "C" not null references accounts (id),
    kind text collate "C" not null,
    name text not null,
    description text not null,
    environment text,
    role text,
    services text not null,
    permissions text not null,
    ip_allowlist text not null,
    expires_ms bigint,
    credits bigint,
    refill_amount bigint,
    refill_every_ms bigint,
    refill_ms bigint,
    ratelimits text not null,
    metadata text not null,
    enabled bigint not null,
    revoked_ms bigint,
    prefix text not null,
    last_four text not null,
    created_by text not null,
    created_ms bigint not null,
    updated_ms bigint not null,
    rotated_ms bigint,
    last_used_ms bigint,
    last_used_ip text,
    last_used_agent text,
    version bigint not null
-- Room in each page, so that a last use or a balance is written without touching an index.
) with (fillfactor = 80);

create index keys_by_account on keys (account, id);

-- What counting an account's live keys reads, and no more.
create index keys_unrevoked on keys (account, kind, expires_ms) where revoked_ms is null;

create table secrets (
    digest bytea primary key not null,
    key_id text collate "C" not null references keys (id),
    pepper bigint not null,
    form bigint not null,
    prefix text not null,
    last_four text not null,
    created_ms bigint not null,
    expires_ms bigint
);

create index secrets_by_key on secrets (key_id);

-- No reference to keys: counts are written in bulk, for keys that were just verified and are never deleted.
create table usage (
    key_id text collate "C" not null,
    hour bigint not null,
    outcome text collate "C" not null,
    tag text collate "C" not null,
    count bigint not null,
    primary key (key_id, hour, outcome, tag)
) with (fillfactor = 80);

create table audit (
    seq bigint primary key not null,
    at_ms bigint not null,
    actor text not null,
    action text not null,
    target text collate "C" not null,
    account text collate "C",
    request_id text,
    detail text not null,
    link bytea not null
);

create index audit_by_account on audit (account, seq);
create index audit_by_target on audit (target, seq);

-- One row: where the log ends.
create table audit_head (
    id bigint primary key not null check (id = 1),
    seq bigint not null,
    link bytea not null
);

insert into audit_head (id, seq, link) values (1, 0, decode(repeat('00', 32), 'hex'));

create table keyring (
    purpose text collate "C" not null,
    version bigint not null,
    sealed bytea not null,
    created_ms bigint not null,
    primary key (purpose, version)
);

create table replays (
    caller text collate "C" not null,
    idem_key text collate "C" not null,
    request_hash bytea not null,
    target text collate "C" not null,
    created_ms bigint not null,
    primary key (caller, idem_key)
);

create index replays_by_age on replays (created_ms);
