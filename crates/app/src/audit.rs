//! Reading the audit log, and following its chain.

use keywright_core::audit::{AuditRow, Break, Chain};
use keywright_store::audit::{self, AuditFilter};

use crate::App;
use crate::caller::{Caller, Reach};
use crate::error::Error;

/// Rows read at a time while the chain is followed.
const PAGE: i64 = 1_000;

impl App {
    /// Rows the caller may see, newest first.
    ///
    /// # Errors
    /// The caller may not read the audit log.
    pub async fn list_audit(&self, caller: &Caller, mut filter: AuditFilter) -> Result<Vec<AuditRow>, Error> {
        caller.must(&self.world().policy.catalog, "audit:read")?;
        if let Reach::Account(own) = caller.reach {
            if filter.account.is_some_and(|asked| asked != own) {
                return Ok(Vec::new());
            }
            filter.account = Some(own);
        }
        Ok(audit::list_audit(&self.db, &filter).await?)
    }

    /// Follows the whole chain: how many rows there are, or where it breaks. `progress` hears of every page.
    ///
    /// # Errors
    /// The caller is no operator, or the database is out of reach.
    pub async fn verify_audit(
        &self,
        caller: &Caller,
        mut progress: impl FnMut(i64) + Send,
    ) -> Result<Result<i64, Break>, Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "audit:read")?;
        let mut chain = Chain::new(&self.keyring.chain);
        let mut next = 0;
        // Rows written while this runs come after the head as it is now.
        let head = audit::audit_head(&self.db).await?;
        loop {
            let rows = audit::list_audit_from(&self.db, next, PAGE).await?;
            let Some(last) = rows.last() else { break };
            next = last.seq + 1;
            for row in rows.iter().filter(|row| row.seq <= head.0) {
                if let Err(broken) = chain.follow(row) {
                    return Ok(Err(broken));
                }
            }
            progress(next);
            if next > head.0 {
                break;
            }
        }
        Ok(chain.finish(head))
    }
}
