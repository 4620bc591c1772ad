//! The app behind a test's server, on a clock that stands until it is moved.

use std::sync::Arc;

use keywright_app::clock::{Clock, rng};
use keywright_app::core::policy::Policy;
use keywright_app::core::secret::MasterKey;
use keywright_app::core::time::Time;
use keywright_app::{App, Settings, Tasks};
use keywright_store::testing::Fresh;

use crate::harness::NOW;

/// An app that runs, with what it takes to start it again.
pub(crate) struct Running {
    pub(crate) app: Arc<App>,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
    pub(crate) master: MasterKey,
}

impl Running {
    pub(crate) async fn begin(fresh: &Fresh, site: Option<&str>) -> Self {
        let clock = Clock::standing_at(NOW.parse::<Time>().unwrap());
        Self::over(fresh, clock, MasterKey::generate(&mut rng()), site).await
    }

    /// Over data that are there already.
    pub(crate) async fn over(fresh: &Fresh, clock: Clock, master: MasterKey, site: Option<&str>) -> Self {
        let policy = Policy::parse(Policy::DEV).unwrap();
        let settings = Settings {
            policy,
            clock: clock.clone(),
            cached_keys: 10_000,
            issuer: None,
            site: site.map(str::to_owned),
            post: crate::letters::post(fresh),
        };
        let (app, tasks) = App::start(fresh.db.clone(), &master, settings).await.unwrap();
        Self { app, clock, tasks, master }
    }
}
