-- What keys were used for, as it was counted: a batch in each row, until several are added to the tables together.
create table usage_batches (
    id bigint generated always as identity primary key,
    batch text not null
);
