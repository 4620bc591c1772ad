-- How people log in: what proves who they are, and how a session goes on.

alter table users add column email_verified_ms integer;
alter table users add column disabled_ms integer;
alter table users add column password_ms integer not null default 0;
-- The secret shared with an authenticator, sealed; it counts once it is on. The last step a code was taken of.
alter table users add column totp_sealed blob;
alter table users add column totp_on_ms integer;
alter table users add column totp_step integer not null default 0;

create table backup_codes (
    user_id text not null references users (id),
    digest blob not null,
    used_ms integer,
    primary key (user_id, digest)
) strict, without rowid;

alter table sessions add column ends_ms integer not null default 0;
alter table sessions add column method text not null default 'operator';
alter table sessions add column ip text;
alter table sessions add column user_agent text;
alter table sessions add column salt blob not null default x'00000000000000000000000000000000';
alter table sessions add column turn integer not null default 0;
alter table sessions add column refreshed_ms integer;
update sessions set ends_ms = expires_ms;

-- Those that are over for good are forgotten.
create index sessions_by_end on sessions (ends_ms);
