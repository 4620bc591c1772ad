//! What an allowed use costs, taken out of a key's limits and credits.

use keywright_core::time::Time;
use keywright_core::verify::Outcome;

use crate::App;
use crate::error::Error;
use crate::record::Record;
use crate::verify::{Ask, Told};

impl App {
    /// Takes what an allowed use costs out of limits and credits, in this order.
    pub(crate) async fn spend(
        &self,
        outcome: Outcome,
        record: &Record,
        ask: &Ask<'_>,
        now: Time,
    ) -> Result<Told, Error> {
        let Some(more) = record.more.as_ref().filter(|_| outcome == Outcome::Valid) else { return Ok((outcome, None)) };
        if let Some(limits) = &more.limits
            && let Err(wait) = limits.take(ask.cost, now)
        {
            return Ok((Outcome::RateLimited, Some(wait)));
        }
        if let Some(pool) = &more.credits
            && !pool.spend(ask.cost, now)
            && !self.spend_credits(record.id, pool, ask.cost, now).await?
        {
            return Ok((Outcome::CreditsExhausted, None));
        }
        Ok((outcome, None))
    }
}

/// The same, where the database need not be asked for credits; else nothing is taken.
pub(crate) fn spend_at_once(outcome: Outcome, record: &Record, ask: &Ask<'_>, now: Time) -> Option<Told> {
    let Some(more) = record.more.as_ref().filter(|_| outcome == Outcome::Valid) else { return Some((outcome, None)) };
    match (&more.limits, &more.credits) {
        (None, None) => Some((outcome, None)),
        (Some(limits), None) => match limits.take(ask.cost, now) {
            Ok(()) => Some((outcome, None)),
            Err(wait) => Some((Outcome::RateLimited, Some(wait))),
        },
        (None, Some(pool)) => pool.spend(ask.cost, now).then_some((outcome, None)),
        // Where credits have to be asked for, what the limits gave would be taken from them twice.
        (Some(_), Some(_)) => None,
    }
}
