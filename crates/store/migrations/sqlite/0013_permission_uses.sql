-- On which day each of a key's permissions last let it do something. No reference to keys, as with usage.
create table permission_uses (
    key_id text not null,
    permission text not null,
    day integer not null,
    primary key (key_id, permission)
) strict, without rowid;

-- Since when something is noted at all.
create table noted_since (
    what text not null primary key,
    at_ms integer not null
) strict, without rowid;
