-- Who somebody is at an identity provider. A person's address may be unknown: then `users.email` holds their own id.
create table identities (
    issuer text not null,
    subject text not null,
    id text not null unique,
    user_id text not null references users (id),
    email text,
    created_ms integer not null,
    primary key (issuer, subject)
) strict, without rowid;

create index identities_by_user on identities (user_id, id);
