-- Letters that wait to be delivered. `sealed` is the whole letter; `recipient` is for the log alone.
create table mail (
    id text primary key not null,
    recipient text not null,
    sealed blob not null,
    created_ms integer not null,
    attempts integer not null,
    next_ms integer not null,
    last_error text not null
) strict;

create index mail_due on mail (next_ms);
