-- On which day each of a key's permissions last let it do something. No reference to keys, as with usage.
create table permission_uses (
    key_id text collate "C" not null,
    permission text collate "C" not null,
    day bigint not null,
    primary key (key_id, permission)
) with (fillfactor = 80);

-- Since when something is noted at all.
create table noted_since (
    what text collate "C" not null primary key,
    at_ms bigint not null
);
