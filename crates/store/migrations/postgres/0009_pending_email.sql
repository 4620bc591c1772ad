-- An address somebody wants to have, until mail to it has shown that it reaches them.
alter table users add column pending_email text;
