-- Whether a batch could not be read when it was to be added: it then stays, for somebody to look at, and holds up no other.
alter table usage_batches add column unreadable integer not null default 0;
