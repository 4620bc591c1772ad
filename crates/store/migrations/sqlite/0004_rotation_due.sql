-- When a key's present secret was said to be due for rotation; null until then, and again after a rotation.
alter table keys add column due_told_ms integer;

-- What the search for keys that have become due reads, and no more.
create index keys_untold on keys (kind, coalesce(rotated_ms, created_ms))
    where revoked_ms is null and due_told_ms is null;
