-- Secrets in the order they come, found by an index. Sorted by their digests, which are random, each new one changed a page of
-- its own, and others where that one was full; a page of the index holds four times as many.
create table secrets_in_order (
    digest blob not null,
    key_id text not null references keys (id),
    pepper integer not null,
    form integer not null,
    prefix text not null,
    last_four text not null,
    created_ms integer not null,
    expires_ms integer
) strict;

insert into secrets_in_order (digest, key_id, pepper, form, prefix, last_four, created_ms, expires_ms)
    select digest, key_id, pepper, form, prefix, last_four, created_ms, expires_ms from secrets;

drop table secrets;
alter table secrets_in_order rename to secrets;

-- Half of a digest is as good as the whole: no two are alike in 128 bits, for each is made with a secret pepper.
create unique index secrets_by_digest on secrets (substr(digest, 1, 16));
create index secrets_by_key on secrets (key_id);
