-- Nothing to do: a table's rows are in no order here, and its primary key is an index.
select 1;
