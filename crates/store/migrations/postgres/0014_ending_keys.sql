-- Of which end of a key people were told last, and how many days before it.
create table ending_told (
    key_id text collate "C" not null primary key,
    ends_ms bigint not null,
    days bigint not null
) with (fillfactor = 80);

-- What the search for keys that are about to end reads, and no more.
create index keys_ending on keys (expires_ms) where revoked_ms is null and expires_ms is not null;
