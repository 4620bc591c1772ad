//! Keys that have become due for rotation: said once for each secret, in the audit log.
//!
//! Looked for every minute or so, and at the first such minute after a start: what became due while no server ran is
//! said then.

use std::sync::Arc;

use keywright_core::audit::AuditEvent;
use keywright_core::key::Key;
use keywright_store::keys;
use serde_json::json;

use crate::App;
use crate::error::Error;
use crate::write::Author;

/// Keys said to be due in one change.
const BATCH: i64 = 200;

impl App {
    /// Says of every key that has become due for rotation that it is. Says how many there were.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn tell_due_keys(&self) -> Result<usize, Error> {
        let world = Arc::clone(self.world());
        let now = self.clock.now();
        let mut told = 0;
        for kind in world.policy.kinds() {
            let Some(due) = kind.rotation_due else { continue };
            loop {
                let found = keys::list_due_keys(&self.db, &kind.name, now.before(due), now, BATCH).await?;
                if found.is_empty() {
                    break;
                }
                told += found.len();
                self.tell(found).await?;
            }
        }
        Ok(told)
    }

    async fn tell(&self, due: Vec<Key>) -> Result<(), Error> {
        let now = self.clock.now();
        self.write_all(Author::system(), move |tx| {
            Box::pin(async move {
                let mut events = Vec::with_capacity(due.len());
                for key in due {
                    // It may have been revoked since it was found.
                    if keys::set_due_told(tx, key.id, now).await? {
                        let issued_at = key.rotated_at.unwrap_or(key.created_at);
                        let detail = json!({ "kind": key.kind, "prefix": key.prefix, "issued_at": issued_at });
                        let target = key.id.to_string();
                        let account = Some(key.account);
                        events.push(AuditEvent { action: "key.rotation_due", target, account, detail: detail.into() });
                    }
                }
                Ok(((), events))
            })
        })
        .await
    }
}
