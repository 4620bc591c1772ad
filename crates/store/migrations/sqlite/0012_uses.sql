-- Where keys were last used from: of each secret (a part of its digest) so many addresses as there are places. No reference
-- to keys, as with usage.
create table uses (
    key_id text not null,
    secret integer not null,
    place integer not null,
    ip text not null,
    agent text,
    at_ms integer not null,
    primary key (key_id, secret, place)
) strict, without rowid;

-- Why a key was refused, and in which request: the latest of each key.
create table denials (
    key_id text not null,
    at_ms integer not null,
    request_id text not null,
    outcome text not null,
    ip text,
    agent text,
    primary key (key_id, at_ms, request_id)
) strict, without rowid;
