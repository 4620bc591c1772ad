//! Use cases on the services accounts have: the operator's provisioning writes them down, the account reads them.

use keywright_core::audit::AuditEvent;
use keywright_core::id::{AccountId, ServiceId};
use keywright_core::registry::{MOST_SERVICES, Registered, Registration};
use keywright_store::{Tx, accounts, registry};
use serde_json::json;

use crate::caller::Caller;
use crate::error::Error;
use crate::replay::Replay;
use crate::{App, clock};

/// A service that was just written down, or one that an earlier call with the same `Idempotency-Key` had.
#[derive(Clone, Debug)]
pub struct CreatedService {
    /// The service.
    pub service: Registered,
    /// Whether this call wrote it down.
    pub is_new: bool,
}

impl App {
    /// Writes down a service an account has.
    ///
    /// # Errors
    /// The caller is no operator, there is no such account, it has too many, or a field is wrong.
    pub async fn create_service(
        &self,
        caller: &Caller,
        account: AccountId,
        said: Registration,
        replay: Option<Replay>,
    ) -> Result<CreatedService, Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "accounts:write")?;
        let now = self.clock.now();
        let mut service = Registered::new(ServiceId::new(now, &mut clock::rng()), account, now);
        service.change(said, now).map_err(Error::Invalid)?;
        self.write(caller, move |tx| {
            Box::pin(async move {
                if let Some(earlier) = Replay::find(tx, replay.as_ref()).await? {
                    let id = earlier.parse().map_err(|_| Error::Internal("a replay names no service".into()))?;
                    let service = load(tx, account, id).await?;
                    let event = event("service.create_replayed", &service);
                    return Ok((CreatedService { service, is_new: false }, event));
                }
                let customer =
                    accounts::find_account(tx, account).await?.filter(|found| found.id != AccountId::OPERATOR);
                customer.ok_or(Error::NotFound("account"))?;
                if registry::count_services(tx, account).await? >= MOST_SERVICES {
                    return Err(Error::Conflict(format!(
                        "the account has {MOST_SERVICES} services, the most it may have: delete one first"
                    )));
                }
                registry::insert_service(tx, &service).await?;
                Replay::keep(tx, replay.as_ref(), &service.id.to_string(), now).await?;
                let event = event("service.create", &service);
                Ok((CreatedService { service, is_new: true }, event))
            })
        })
        .await
    }

    /// Services of an account the caller may see, oldest first.
    ///
    /// # Errors
    /// The caller may not read accounts, or there is no such account.
    pub async fn list_services(
        &self,
        caller: &Caller,
        account: AccountId,
        after: Option<ServiceId>,
        limit: u32,
    ) -> Result<Vec<Registered>, Error> {
        self.get_account(caller, account).await?;
        Ok(registry::list_services(&self.db, account, after, limit.into()).await?)
    }

    /// All services of the account the caller's credential belongs to, oldest first.
    ///
    /// # Errors
    /// The caller lacks `services:read`, or is an operator.
    pub async fn list_own_services(&self, caller: &Caller) -> Result<Vec<Registered>, Error> {
        caller.must(&self.world().policy.catalog, "services:read")?;
        let own = caller.own_account()?;
        Ok(registry::list_services(&self.db, own, None, MOST_SERVICES).await?)
    }

    /// Changes what is written down of a service.
    ///
    /// # Errors
    /// The caller is no operator, there is no such service, or a field is wrong.
    pub async fn update_service(
        &self,
        caller: &Caller,
        account: AccountId,
        id: ServiceId,
        said: Registration,
    ) -> Result<Registered, Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "accounts:write")?;
        let now = self.clock.now();
        self.write(caller, move |tx| {
            Box::pin(async move {
                let mut service = load(tx, account, id).await?;
                service.change(said, now).map_err(Error::Invalid)?;
                registry::update_service(tx, &service).await?;
                service.version += 1;
                let event = event("service.update", &service);
                Ok((service, event))
            })
        })
        .await
    }

    /// Strikes a service off.
    ///
    /// # Errors
    /// The caller is no operator, or there is no such service.
    pub async fn delete_service(&self, caller: &Caller, account: AccountId, id: ServiceId) -> Result<(), Error> {
        caller.must_be_operator()?;
        caller.must(&self.world().policy.catalog, "accounts:write")?;
        self.write(caller, move |tx| {
            Box::pin(async move {
                let service = load(tx, account, id).await?;
                registry::delete_service(tx, id).await?;
                Ok(((), event("service.delete", &service)))
            })
        })
        .await
    }
}

async fn load(tx: &Tx, account: AccountId, id: ServiceId) -> Result<Registered, Error> {
    registry::find_service(tx, id, account).await?.ok_or(Error::NotFound("service"))
}

fn event(action: &'static str, service: &Registered) -> AuditEvent {
    let detail = json!({
        "service_type": service.service_type, "name": service.name, "status": service.status,
        "region": service.region, "metadata": service.metadata,
    });
    AuditEvent { action, target: service.id.to_string(), account: Some(service.account), detail: detail.into() }
}
