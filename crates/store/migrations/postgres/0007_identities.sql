-- Who somebody is at an identity provider. A person's address may be unknown: then `users.email` holds their own id.
create table identities (
    issuer text collate "C" not null,
    subject text collate "C" not null,
    id text collate "C" not null unique,
    user_id text collate "C" not null references users (id),
    email text collate "C",
    created_ms bigint not null,
    primary key (issuer, subject)
);

create index identities_by_user on identities (user_id, id);
