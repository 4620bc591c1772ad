//! Which changes share a commit.

use keywright_core::policy::Policy;
use keywright_core::secret::MasterKey;
use keywright_store::testing;
use serde_json::json;

use super::*;
use crate::clock::{self, Clock};
use crate::mail::Post;
use crate::{Settings, Tasks};

async fn start(db: &Db) -> (Arc<App>, Tasks) {
    let settings = Settings {
        policy: Policy::parse(Policy::DEV).unwrap(),
        clock: Clock::standing_at(Time::from_millis(1_795_000_000_000)),
        cached_keys: 1_000,
        issuer: None,
        site: None,
        post: Post::None,
    };
    App::start(db.clone(), &MasterKey::generate(&mut clock::rng()), settings).await.unwrap()
}

fn event() -> AuditEvent {
    AuditEvent { action: "test.change", target: "test".into(), account: None, detail: json!({}) }
}

/// Makes a change, and another one while it is being made, which fails where it is told to. Says how the second ended, and
/// how many commits there were.
async fn one_during_another(db: &Db, fails: bool) -> (Result<(), Error>, u64) {
    let (app, tasks) = start(db).await;
    let before = app.changes();
    let (begins, begun) = oneshot::channel();
    let (goes_on, go_on) = oneshot::channel();
    let first = {
        let app = Arc::clone(&app);
        tokio::spawn(async move {
            app.write(Author::system(), |_| {
                Box::pin(async move {
                    begins.send(()).unwrap();
                    go_on.await.unwrap();
                    Ok(((), event()))
                })
            })
            .await
        })
    };
    begun.await.unwrap();
    let second = app.write(Author::system(), move |_| {
        Box::pin(async move { if fails { Err(Error::Conflict("no".into())) } else { Ok(((), event())) } })
    });
    let mut second = Box::pin(second);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(second.as_mut().poll(&mut context).is_pending(), "it is on its way, and waits");
    goes_on.send(()).unwrap();
    let ended = second.await;
    first.await.unwrap().unwrap();
    let commits = app.changes() - before;
    tasks.stop().await.unwrap();
    (ended, commits)
}

#[tokio::test]
async fn what_comes_while_a_batch_runs_joins_it() {
    let fresh = testing::sqlite().await;
    assert_eq!(one_during_another(&fresh.db, false).await, (Ok(()), 1));
}

#[tokio::test]
async fn what_joins_a_batch_fails_alone() {
    let fresh = testing::sqlite().await;
    assert_eq!(one_during_another(&fresh.db, true).await, (Err(Error::Conflict("no".into())), 1));
}
