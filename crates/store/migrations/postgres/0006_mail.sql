-- Letters that wait to be delivered. `sealed` is the whole letter; `recipient` is for the log alone.
create table mail (
    id text collate "C" primary key not null,
    recipient text not null,
    sealed bytea not null,
    created_ms bigint not null,
    attempts bigint not null,
    next_ms bigint not null,
    last_error text not null
);

create index mail_due on mail (next_ms);
