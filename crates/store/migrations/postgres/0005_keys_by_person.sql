-- What counting the keys a person has made lately reads. Keys that keys have made are not in it.
alter table keys alter column created_by type text collate "C";
create index keys_by_person on keys (created_by, created_ms) where created_by >= 'user:' and created_by < 'user;';
