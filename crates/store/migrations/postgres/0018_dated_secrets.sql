-- Nothing to do for what there is: secrets issued from now on may have the form 2, which an older Keywright does not know.
select 1;
