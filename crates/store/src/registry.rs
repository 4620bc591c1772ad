//! The services accounts have. A change names the version it read and loses to one that came before it.
//!
//! Which SSH keys are on a service is in its metadata, and beside that in a table of its own, so that counting a key's
//! services reads no metadata. Both are written here and nowhere else.

use keywright_core::id::{AccountId, ServiceId};
use keywright_core::registry::Registered;

use crate::error::StoreError;
use crate::read::{Read, find, list};
use crate::row::Row;
use crate::sql::statements;
use crate::tx::{Rows, Tx};
use crate::value::{json, values};

/// A service's columns in the order [`service`] reads them.
macro_rules! service_columns {
    () => {
        "id, account, service_type, name, status, region, metadata, created_ms, updated_ms, version"
    };
}

statements! {
    INSERT_SERVICE = concat!(
        "insert into services (", service_columns!(), ") values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
    );
    UPDATE_SERVICE = "update services set name = $3, status = $4, region = $5, metadata = $6, updated_ms = $7, \
        version = version + 1 where id = $1 and version = $2";
    DELETE_SERVICE = "delete from services where id = $1";
    FIND_SERVICE = concat!("select ", service_columns!(), " from services where id = $1 and account = $2");
    LIST_SERVICES =
        concat!("select ", service_columns!(), " from services where account = $1 and id > $2 order by id limit $3");
    COUNT_SERVICES = "select count(*) from services where account = $1";
    UNLINK_SERVICE = "delete from service_ssh_keys where service = $1";
    /// An id that is no key of the account's links nothing.
    LINK_SERVICE = "insert into service_ssh_keys (ssh_key, service) \
        select k.id, cast($1 as text) from ssh_keys k where k.id = $2 and k.account = $3";
}

fn service(row: &mut Row) -> Result<Registered, StoreError> {
    Ok(Registered {
        id: row.parsed()?,
        account: row.parsed()?,
        service_type: row.text()?,
        name: row.text()?,
        status: row.text()?,
        region: row.text()?,
        metadata: row.json()?,
        created_at: row.time()?,
        updated_at: row.time()?,
        version: row.int()?,
    })
}

/// Writes down which SSH keys a service has.
async fn link(tx: &mut Tx, service: &Registered) -> Result<(), StoreError> {
    tx.write(UNLINK_SERVICE, values![service.id], Rows::Any).await?;
    for key in service.ssh_keys() {
        tx.write(LINK_SERVICE, values![service.id, key, service.account], Rows::AtMostOne).await?;
    }
    Ok(())
}

/// Adds a service.
///
/// # Errors
/// Conflict: its id is taken, or there is no such account.
pub async fn insert_service(tx: &mut Tx, service: &Registered) -> Result<(), StoreError> {
    let values = values![
        service.id,
        service.account,
        &service.service_type,
        &service.name,
        &service.status,
        &service.region,
        json(&service.metadata)?,
        service.created_at,
        service.updated_at,
        service.version,
    ];
    tx.write(INSERT_SERVICE, values, Rows::One).await?;
    link(tx, service).await
}

/// Writes a service's changes; its stored version grows by one.
///
/// # Errors
/// Conflict: it has changed since this version, or is not there.
pub async fn update_service(tx: &mut Tx, service: &Registered) -> Result<(), StoreError> {
    let values = values![
        service.id,
        service.version,
        &service.name,
        &service.status,
        &service.region,
        json(&service.metadata)?,
        service.updated_at,
    ];
    tx.write(UPDATE_SERVICE, values, Rows::One).await?;
    link(tx, service).await
}

/// Deletes a service.
///
/// # Errors
/// Conflict: it is not there.
pub async fn delete_service(tx: &mut Tx, id: ServiceId) -> Result<(), StoreError> {
    tx.write(UNLINK_SERVICE, values![id], Rows::Any).await?;
    tx.write(DELETE_SERVICE, values![id], Rows::One).await.map(drop)
}

/// Finds a service of an account's.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn find_service(on: &impl Read, id: ServiceId, account: AccountId) -> Result<Option<Registered>, StoreError> {
    find(on, FIND_SERVICE, values![id, account], service).await
}

/// An account's services, oldest first.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_services(
    on: &impl Read,
    account: AccountId,
    after: Option<ServiceId>,
    limit: i64,
) -> Result<Vec<Registered>, StoreError> {
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    list(on, LIST_SERVICES, values![account, after, limit], service).await
}

/// How many services an account has.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn count_services(on: &impl Read, account: AccountId) -> Result<i64, StoreError> {
    let count = find(on, COUNT_SERVICES, values![account], Row::int).await?;
    count.ok_or_else(|| StoreError::corrupt("counting answered with no row"))
}
