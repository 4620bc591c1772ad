-- Of which end of a key people were told last, and how many days before it.
create table ending_told (
    key_id text not null primary key,
    ends_ms integer not null,
    days integer not null
) strict, without rowid;

-- What the search for keys that are about to end reads, and no more.
create index keys_ending on keys (expires_ms) where revoked_ms is null and expires_ms is not null;
