//! Which changes share a commit.

use keywright_core::account::Account;
use keywright_core::id::AccountId;
use keywright_core::policy::Policy;
use keywright_core::secret::MasterKey;
use keywright_store::{accounts, testing};
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
    AuditEvent { action: "test.change", target: "test".into(), account: None, detail: json!({}).into() }
}

fn account(name: &str) -> Account {
    let now = Time::from_millis(1_795_000_000_000);
    Account::new(AccountId::new(now, &mut clock::rng()), name.into(), now)
}

/// What came of two changes, the second made while the first was being made.
#[derive(Debug, PartialEq, Eq)]
struct Made {
    second: Result<(), Error>,
    commits: u64,
    /// Whether each has left its account.
    left: [bool; 2],
}

async fn one_during_another(fails: bool) -> Made {
    let fresh = testing::sqlite().await;
    let (app, tasks) = start(&fresh.db).await;
    let before = app.changes();
    let (begins, begun) = oneshot::channel();
    let (goes_on, go_on) = oneshot::channel();
    let (mine, other) = (account("first"), account("second"));
    let ids = [mine.id, other.id];
    let first = {
        let app = Arc::clone(&app);
        tokio::spawn(async move {
            app.write(Author::system(), move |tx| {
                Box::pin(async move {
                    accounts::insert_account(tx, &mine).await?;
                    begins.send(()).unwrap();
                    go_on.await.unwrap();
                    Ok(((), event()))
                })
            })
            .await
        })
    };
    begun.await.unwrap();
    let mut second = Box::pin(app.write(Author::system(), move |tx| {
        Box::pin(async move {
            accounts::insert_account(tx, &other).await?;
            if fails { Err(Error::Conflict("no".into())) } else { Ok(((), event())) }
        })
    }));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(second.as_mut().poll(&mut context).is_pending(), "it is on its way, and waits");
    goes_on.send(()).unwrap();
    let second = second.await;
    first.await.unwrap().unwrap();
    let commits = app.changes() - before;
    let mut left = [false; 2];
    for (left, id) in left.iter_mut().zip(ids) {
        *left = accounts::has_account(&fresh.db, id).await.unwrap();
    }
    tasks.stop().await.unwrap();
    Made { second, commits, left }
}

#[tokio::test]
async fn what_comes_while_a_batch_runs_joins_it() {
    assert_eq!(one_during_another(false).await, Made { second: Ok(()), commits: 1, left: [true, true] });
}

#[tokio::test]
async fn what_joins_a_batch_fails_alone() {
    let second = Err(Error::Conflict("no".into()));
    assert_eq!(one_during_another(true).await, Made { second, commits: 1, left: [true, false] });
}
