//! Accounts. A change names the version it read and loses to one that came before it.

use keywright_core::account::{Account, CustomerType, Profile, Standing, Subscription};
use keywright_core::id::AccountId;

use crate::error::StoreError;
use crate::read::{Read, find, list};
use crate::row::Row;
use crate::sql::statements;
use crate::tx::{Rows, Tx};
use crate::value::{Value, containing, json, values};

/// An account's columns in the order [`account`] reads them.
macro_rules! account_columns {
    () => {
        "id, name, standing, email, email_verified, first_name, last_name, company, customer_type, subscription, credits, \
         metadata, created_ms, updated_ms, version"
    };
}

statements! {
    INSERT_ACCOUNT = concat!(
        "insert into accounts (", account_columns!(), ") \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
    );
    UPDATE_ACCOUNT = "update accounts set name = $3, standing = $4, email = $5, email_verified = $6, first_name = $7, \
        last_name = $8, company = $9, customer_type = $10, subscription = $11, credits = $12, metadata = $13, \
        updated_ms = $14, version = version + 1 where id = $1 and version = $2";
    FIND_ACCOUNT = concat!("select ", account_columns!(), " from accounts where id = $1");
    HAS_ACCOUNT = "select id from accounts where id = $1";
    LIST_ACCOUNTS = concat!("select ", account_columns!(), " from accounts where id > $1 \
        and (cast($3 as text) is null or standing = $3) \
        and (cast($4 as text) is null or lower(name) like $4 escape '!' or lower(email) like $4 escape '!' \
            or lower(company) like $4 escape '!' or id like $4 escape '!') order by id limit $2");
}

fn account(row: &mut Row) -> Result<Account, StoreError> {
    Ok(Account {
        id: row.parsed()?,
        name: row.text()?,
        standing: row.named(Standing::from_name)?,
        profile: Profile {
            email: row.text()?,
            email_verified: row.flag()?,
            first_name: row.text()?,
            last_name: row.text()?,
            company: row.text()?,
            customer_type: row.named(CustomerType::from_name)?,
        },
        subscription: row.named(Subscription::from_name)?,
        credits: row.int()?,
        metadata: row.json()?,
        created_at: row.time()?,
        updated_at: row.time()?,
        version: row.int()?,
    })
}

/// What can change, in the order both statements write it.
fn settings(account: &Account) -> Result<Vec<Value>, StoreError> {
    let profile = &account.profile;
    Ok(values![
        &account.name,
        account.standing.name(),
        &profile.email,
        profile.email_verified,
        &profile.first_name,
        &profile.last_name,
        &profile.company,
        profile.customer_type.name(),
        account.subscription.name(),
        account.credits,
        json(&account.metadata)?,
    ])
}

/// Adds an account.
///
/// # Errors
/// Conflict: its id is taken.
pub async fn insert_account(tx: &mut Tx, account: &Account) -> Result<(), StoreError> {
    let values =
        [values![account.id], settings(account)?, values![account.created_at, account.updated_at, account.version]];
    tx.write(INSERT_ACCOUNT, values.into_iter().flatten().collect(), Rows::One).await?;
    tx.touched.accounts.push(account.id);
    Ok(())
}

/// Writes an account's changes; its stored version grows by one.
///
/// # Errors
/// Conflict: it has changed since this version, or is not there.
pub async fn update_account(tx: &mut Tx, account: &Account) -> Result<(), StoreError> {
    let values = [values![account.id, account.version], settings(account)?, values![account.updated_at]];
    tx.write(UPDATE_ACCOUNT, values.into_iter().flatten().collect(), Rows::One).await?;
    tx.touched.accounts.push(account.id);
    Ok(())
}

/// Finds an account.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn find_account(on: &impl Read, id: AccountId) -> Result<Option<Account>, StoreError> {
    find(on, FIND_ACCOUNT, values![id], account).await
}

/// Whether there is an account.
///
/// # Errors
/// The database.
pub async fn has_account(on: &impl Read, id: AccountId) -> Result<bool, StoreError> {
    Ok(!on.rows(HAS_ACCOUNT, values![id]).await?.is_empty())
}

/// Which accounts to list: those that fit everything given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountFilter {
    /// That stand so.
    pub standing: Option<Standing>,
    /// With this in their name, address, company or id, in small or large letters.
    pub words: Option<String>,
    /// After this account: the last one of the page before.
    pub after: Option<AccountId>,
    /// At most so many.
    pub limit: i64,
}

/// Lists accounts by id, the operator's own among them.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn list_accounts(on: &impl Read, filter: &AccountFilter) -> Result<Vec<Account>, StoreError> {
    let after = filter.after.map(|id| id.to_string()).unwrap_or_default();
    let standing = filter.standing.map(Standing::name);
    let words = filter.words.as_deref().map(containing);
    list(on, LIST_ACCOUNTS, values![after, filter.limit, standing, words], account).await
}
