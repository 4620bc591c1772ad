-- What keys were used for, as it was counted: a batch in each row, until several are added to the tables together.
create table usage_batches (
    id integer primary key not null,
    batch text not null
) strict;
