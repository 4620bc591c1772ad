//! Batches of what keys were used for: written down whole as they were counted, and later added to the tables together.
//!
//! A batch in one row is made durable for a fraction of what its rows cost in the tables, where those of the same keys in
//! ten batches cost what those of one do. What must stay true: a batch is either put aside or in the tables, never both.

use keywright_core::key::LastUse;
use serde::{Deserialize, Serialize};

use crate::denials::{DenialRow, add_denials};
use crate::error::StoreError;
use crate::permission_uses::{PermissionUseRow, set_permission_uses};
use crate::sql::statements;
use crate::tx::{Rows, Tx};
use crate::usage::{UsageRow, add_usage, set_last_use};
use crate::uses::{UseRow, set_uses};
use crate::value::{json, values};

statements! {
    PUT_BATCH_ASIDE = "insert into usage_batches (batch) values ($1)";
    TAKE_BATCHES = "delete from usage_batches where unreadable = 0 returning batch";
    KEEP_UNREADABLE = "insert into usage_batches (batch, unreadable) values ($1, 1)";
}

/// What keys were used for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// How often.
    pub counts: Vec<UsageRow>,
    /// From where.
    pub uses: Vec<UseRow>,
    /// Why some were refused.
    pub denials: Vec<DenialRow>,
    /// By which permissions.
    pub permissions: Vec<PermissionUseRow>,
}

impl Batch {
    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.counts.len() + self.uses.len() + self.denials.len() + self.permissions.len()
    }

    /// Takes what another has.
    pub fn append(&mut self, other: Self) {
        let Self { counts, uses, denials, permissions } = other;
        self.counts.extend(counts);
        self.uses.extend(uses);
        self.denials.extend(denials);
        self.permissions.extend(permissions);
    }
}

/// Adds a batch to the tables.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn add_batch(tx: &mut Tx, batch: &Batch) -> Result<(), StoreError> {
    add_usage(tx, &batch.counts).await?;
    let last = |used: &UseRow| {
        let ip = Some(used.ip.clone()).filter(|ip| !ip.is_empty());
        (used.key, LastUse { at: used.at, ip, user_agent: used.user_agent.clone() })
    };
    set_last_use(tx, &batch.uses.iter().map(last).collect::<Vec<_>>()).await?;
    set_uses(tx, &batch.uses).await?;
    add_denials(tx, &batch.denials).await?;
    set_permission_uses(tx, &batch.permissions).await
}

/// Writes a batch down as it is.
///
/// # Errors
/// Unavailable.
pub async fn put_batch_aside(tx: &mut Tx, batch: &Batch) -> Result<(), StoreError> {
    tx.write(PUT_BATCH_ASIDE, values![json(batch)?], Rows::One).await.map(drop)
}

/// What was taken out of what had been put aside.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// All of it that can be read.
    pub batch: Batch,
    /// Batches that cannot, by this Keywright at least. They stay, marked, and are not tried again.
    pub unreadable: usize,
}

/// Takes out all that was put aside, to be added.
///
/// # Errors
/// Unavailable or corrupt.
pub async fn take_batches(tx: &mut Tx) -> Result<Taken, StoreError> {
    let (mut batch, mut unreadable) = (Batch::default(), Vec::new());
    for mut row in tx.write_returning(TAKE_BATCHES, values![]).await? {
        let text = row.text()?;
        match serde_json::from_str(&text) {
            Ok(one) => batch.append(one),
            Err(_) => unreadable.push(values![text]),
        }
    }
    let taken = Taken { batch, unreadable: unreadable.len() };
    tx.write_each(KEEP_UNREADABLE, unreadable).await?;
    Ok(taken)
}
