//! A key's life as a state machine: whatever is done to keys in whatever order, every secret that was ever issued
//! verifies exactly as a plain model says. The model knows the rules as a reader of the docs would, and nothing of
//! caches, generations, batches or tables.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::harness::{TestServer, text};

/// `lockout = { key = "10 in 5m for 15m" }`: what the dev policy says of the kind under test.
const GUESSES: u32 = 10;
const WITHIN: i64 = 5;
const LASTS: i64 = 15;

/// One thing that happens. Keys and secrets are named by a number, taken modulo how many there are.
#[derive(Clone, Debug)]
enum Step {
    Create {
        lives: Option<i64>,
    },
    Rotate {
        key: usize,
        grace: i64,
    },
    MoveGrace {
        key: usize,
        grace: i64,
    },
    Expire {
        key: usize,
        lives: Option<i64>,
    },
    Disable {
        key: usize,
    },
    Enable {
        key: usize,
    },
    Revoke {
        key: usize,
    },
    /// So many guesses in each of so many rounds.
    Guess {
        secret: usize,
        times: u32,
        rounds: u32,
        every: i64,
    },
    Suspend,
    Resume,
    Wait {
        minutes: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..8usize;
    let lives = prop_oneof![Just(None), (1..90i64).prop_map(Some)];
    prop_oneof![
        2 => lives.clone().prop_map(|lives| Step::Create { lives }),
        4 => (key.clone(), 0..40i64).prop_map(|(key, grace)| Step::Rotate { key, grace }),
        2 => (key.clone(), 0..40i64).prop_map(|(key, grace)| Step::MoveGrace { key, grace }),
        1 => (key.clone(), lives).prop_map(|(key, lives)| Step::Expire { key, lives }),
        2 => key.clone().prop_map(|key| Step::Disable { key }),
        2 => key.clone().prop_map(|key| Step::Enable { key }),
        1 => key.prop_map(|key| Step::Revoke { key }),
        // The lockout's own spans come up often, here and below: mistakes sit at the edges.
        4 => (0..16usize, 1..12u32, 1..4u32, spans()).prop_map(|(secret, times, rounds, every)| Step::Guess {
            secret, times, rounds, every
        }),
        1 => Just(Step::Suspend),
        2 => Just(Step::Resume),
        4 => spans().prop_map(|minutes| Step::Wait { minutes }),
    ]
}

fn spans() -> impl Strategy<Value = i64> {
    prop_oneof![1 => Just(WITHIN), 1 => Just(LASTS), 3 => 1..25i64]
}

/// What the rules say, in minutes since the beginning.
#[derive(Default)]
struct Model {
    now: i64,
    suspended: bool,
    keys: Vec<Key>,
    /// Failures by public part: how many, since when, locked until when.
    guesses: HashMap<String, (u32, i64, i64)>,
}

struct Key {
    id: String,
    /// Every secret it ever had, with its end; the last is the live one.
    secrets: Vec<(String, Option<i64>)>,
    ends: Option<i64>,
    enabled: bool,
    revoked: bool,
}

impl Key {
    fn is_over(&self, now: i64) -> bool {
        self.revoked || self.ends.is_some_and(|ends| ends <= now)
    }

    fn is_in_grace(&self, now: i64) -> bool {
        self.secrets.iter().any(|(_, ends)| ends.is_some_and(|ends| ends > now))
    }
}

/// The part of a key of this kind that may be shown: what guesses are counted against.
fn public(secret: &str) -> &str {
    &secret[..secret.len() - 26]
}

impl Model {
    fn says(&self, key: &Key, secret: &str, ends: Option<i64>) -> &'static str {
        if self.guesses.get(public(secret)).is_some_and(|(.., until)| *until > self.now) {
            "RATE_LIMITED"
        } else if key.revoked {
            "REVOKED"
        } else if [key.ends, ends].into_iter().flatten().any(|ends| ends <= self.now) {
            "EXPIRED"
        } else if !key.enabled {
            "DISABLED"
        } else if self.suspended {
            "ACCOUNT_SUSPENDED"
        } else {
            "VALID"
        }
    }

    /// Counts a wrong guess and says what it is told.
    fn guess(&mut self, at: &str) -> &'static str {
        let now = self.now;
        let (count, since, until) = self.guesses.entry(at.into()).or_insert((0, now, 0));
        if *until > now {
            return "RATE_LIMITED";
        }
        if *count == 0 || now - *since >= WITHIN {
            (*count, *since) = (0, now);
        }
        *count += 1;
        if *count == GUESSES {
            (*count, *until) = (0, now + LASTS);
        }
        "NOT_FOUND"
    }

    fn secret(&self, number: usize) -> Option<String> {
        let all: Vec<&String> = self.keys.iter().flat_map(|key| &key.secrets).map(|(secret, _)| secret).collect();
        all.get(number % all.len().max(1)).map(|secret| (*secret).clone())
    }
}

/// The server and the model, side by side.
struct Pair {
    server: TestServer,
    account: String,
    model: Model,
}

impl Pair {
    async fn take(&mut self, step: &Step) {
        match *step {
            Step::Create { lives } => self.create(lives).await,
            Step::Rotate { key, grace } => self.rotate(key, grace).await,
            Step::MoveGrace { key, grace } => self.move_grace(key, grace).await,
            Step::Expire { key, lives } => self.expire(key, lives).await,
            Step::Disable { key } => self.enable(key, "disable").await,
            Step::Enable { key } => self.enable(key, "enable").await,
            Step::Revoke { key } => self.revoke(key).await,
            Step::Guess { secret, times, rounds, every } => {
                for round in 0..rounds {
                    self.wait(if round == 0 { 0 } else { every });
                    self.guess(secret, times).await;
                }
            }
            Step::Suspend => self.suspend(true).await,
            Step::Resume => self.suspend(false).await,
            Step::Wait { minutes } => self.wait(minutes),
        }
        for key in &self.model.keys {
            for (secret, ends) in &key.secrets {
                let (told, said) = (self.server.code(secret).await, self.model.says(key, secret, *ends));
                assert_eq!(told, said, "after {step:?}, in minute {}", self.model.now);
            }
        }
    }

    fn wait(&mut self, minutes: i64) {
        self.server.wait(&format!("{minutes}m"));
        self.model.now += minutes;
    }

    /// The key a step names, in the model.
    fn named(&mut self, number: usize) -> Option<(&mut Key, i64)> {
        let count = self.model.keys.len().max(1);
        Some((self.model.keys.get_mut(number % count)?, self.model.now))
    }

    async fn create(&mut self, lives: Option<i64>) {
        let mut fields = json!({ "kind": "wavis" });
        if let Some(minutes) = lives {
            fields["expires_in"] = format!("{minutes}m").into();
        }
        let (id, secret) = self.server.key_of(&self.account, fields).await.pair();
        let ends = lives.map(|minutes| self.model.now + minutes);
        self.model.keys.push(Key { id, secrets: vec![(secret, None)], ends, enabled: true, revoked: false });
    }

    async fn rotate(&mut self, number: usize, grace: i64) {
        let Some((key, now)) = self.named(number) else { return };
        let (path, over) = (format!("/v1/keys/{}/rotate", key.id), key.is_over(now));
        let body = json!({ "grace": format!("{grace}m") });
        let answer = self.server.post(&path, &body).send().await;
        if over {
            answer.problem(409, "CONFLICT");
            return;
        }
        let secret = text(&answer.is(200), "key");
        let Some((key, now)) = self.named(number) else { return };
        for (_, ends) in &mut key.secrets {
            // A grace that ends sooner is not prolonged by a second rotation.
            *ends = Some(ends.map_or(now + grace, |ends| ends.min(now + grace)));
        }
        key.secrets.push((secret, None));
    }

    async fn move_grace(&mut self, number: usize, grace: i64) {
        let Some((key, now)) = self.named(number) else { return };
        let (path, open) = (format!("/v1/keys/{}/grace", key.id), key.is_in_grace(now));
        let answer = self.server.post(&path, &json!({ "grace": format!("{grace}m") })).send().await;
        if !open {
            answer.problem(409, "CONFLICT");
            return;
        }
        answer.is(200);
        let Some((key, now)) = self.named(number) else { return };
        for ends in key.secrets.iter_mut().filter_map(|(_, ends)| ends.as_mut()).filter(|ends| **ends > now) {
            *ends = now + grace;
        }
    }

    async fn expire(&mut self, number: usize, lives: Option<i64>) {
        let Some((key, _)) = self.named(number) else { return };
        let (path, revoked) = (format!("/v1/keys/{}", key.id), key.revoked);
        let lives_text = lives.map_or(Value::Null, |minutes| format!("{minutes}m").into());
        let answer = self.server.patch(&path, &json!({ "expires_in": lives_text })).send().await;
        if revoked {
            answer.problem(409, "CONFLICT");
            return;
        }
        answer.is(200);
        let Some((key, now)) = self.named(number) else { return };
        key.ends = lives.map(|minutes| now + minutes);
    }

    async fn enable(&mut self, number: usize, verb: &str) {
        let Some((key, _)) = self.named(number) else { return };
        let (path, revoked) = (format!("/v1/keys/{}/{verb}", key.id), key.revoked);
        let answer = self.server.post(&path, &Value::Null).send().await;
        if revoked {
            answer.problem(409, "CONFLICT");
            return;
        }
        answer.is(200);
        let Some((key, _)) = self.named(number) else { return };
        key.enabled = verb == "enable";
    }

    async fn revoke(&mut self, number: usize) {
        let Some((key, _)) = self.named(number) else { return };
        key.revoked = true;
        let path = format!("/v1/keys/{}", key.id);
        let answer = self.server.delete(&path).send().await;
        assert!(answer.status < 300, "{}", answer.text);
    }

    async fn guess(&mut self, number: usize, times: u32) {
        let Some(secret) = self.model.secret(number) else { return };
        for guess in 0..times {
            // A new one each time: that a key is not there is remembered, and must count all the same.
            let wrong = format!("{}{:026x}", public(&secret), u64::from(guess) << 32 | self.model.now as u64);
            let said = self.model.guess(public(&secret));
            assert_eq!(self.server.code(&wrong).await, said, "guess {guess} of {times}");
        }
    }

    async fn suspend(&mut self, suspended: bool) {
        let status = if suspended { "suspended" } else { "active" };
        let path = format!("/v1/accounts/{}", self.account);
        self.server.patch(&path, &json!({ "status": status })).send().await.is(200);
        self.model.suspended = suspended;
    }
}

#[test]
fn every_secret_verifies_as_a_plain_model_says() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = TestRunner::new(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() });
    let lives = proptest::collection::vec(step(), 1..40);
    let result = runner.run(&lives, |steps| {
        runtime.block_on(async {
            let server = TestServer::start().await;
            let account = server.account().await;
            let mut pair = Pair { server, account, model: Model::default() };
            for step in &steps {
                pair.take(step).await;
            }
        });
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}
