-- Where keys were last used from: of each secret (a part of its digest) so many addresses as there are places. No reference
-- to keys, as with usage.
create table uses (
    key_id text collate "C" not null,
    secret bigint not null,
    place bigint not null,
    ip text not null,
    agent text,
    at_ms bigint not null,
    primary key (key_id, secret, place)
) with (fillfactor = 80);

-- Why a key was refused, and in which request: the latest of each key.
create table denials (
    key_id text collate "C" not null,
    at_ms bigint not null,
    request_id text collate "C" not null,
    outcome text not null,
    ip text,
    agent text,
    primary key (key_id, at_ms, request_id)
);
