-- Who an account is and how it stands; its own SSH keys; the services it has.

alter table accounts add column email text not null default '';
alter table accounts add column email_verified bigint not null default 0;
alter table accounts add column first_name text not null default '';
alter table accounts add column last_name text not null default '';
alter table accounts add column company text not null default '';
alter table accounts add column customer_type text not null default 'private';
alter table accounts add column subscription text not null default 'none';
alter table accounts add column credits bigint not null default 0;

create table ssh_keys (
    id text collate "C" primary key not null,
    account text collate "C" not null references accounts (id),
    name text not null,
    key_type text not null,
    fingerprint text collate "C" not null,
    public_key text not null,
    created_ms bigint not null
);

-- An account registers a key once; in order of the ids, for lists.
create unique index ssh_keys_by_fingerprint on ssh_keys (account, fingerprint);
create index ssh_keys_by_account on ssh_keys (account, id);

create table services (
    id text collate "C" primary key not null,
    account text collate "C" not null references accounts (id),
    service_type text not null,
    name text not null,
    status text not null,
    region text not null,
    metadata text not null,
    created_ms bigint not null,
    updated_ms bigint not null,
    version bigint not null
);

create index services_by_account on services (account, id);

-- Which services an SSH key is on: what a service's metadata says, in a form that can be counted.
create table service_ssh_keys (
    ssh_key text collate "C" not null references ssh_keys (id),
    service text collate "C" not null references services (id),
    primary key (ssh_key, service)
);

create index service_ssh_keys_by_service on service_ssh_keys (service);
