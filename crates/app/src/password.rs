//! Passwords: argon2id, 19 MiB and two passes (security.md 14), on a few threads of their own.
//!
//! What must stay true (security.md 18): however many log in at once, so many hashes are made at a time, each in memory that
//! is kept for the next, and so many wait; more are told to come back. The threads stand behind everything else, so that
//! verifying keys goes on beside them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use keywright_core::password::Password;
use tokio::sync::oneshot;

use crate::error::Error;
use crate::sync::lock_std as lock;

/// Hashes that may wait: some seconds' worth.
const QUEUE: usize = 256;
const MEMORY_KIB: u32 = 19 * 1_024;
const PASSES: u32 = 2;
/// How long a thread that waits keeps its memory: taken anew, it is given page by page.
const KEPT: Duration = Duration::from_secs(10);
/// What a hash of ours begins with. One that begins otherwise is weaker, and is replaced when its password is next shown.
const STRENGTH: &str = "$argon2id$v=19$m=19456,t=2,p=1$";
/// A hash no password has: what is checked where there is nobody, so that it takes as long (security.md 48).
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// How far behind everything else the threads stand (setpriority(2)): where all processors are busy they have a tenth of
/// one each, so that logins go on, too.
const NICE: i32 = 10;

enum Job {
    Hash(Password, oneshot::Sender<Result<String, Error>>),
    Check(Password, String, oneshot::Sender<bool>),
}

/// The threads that hash.
pub(crate) struct Hasher {
    queue: SyncSender<Job>,
    /// Hashes begun since the start.
    count: Arc<AtomicU64>,
}

impl Hasher {
    pub(crate) fn start() -> Self {
        let (sender, queue) = sync_channel(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        // Half of the processors: the other half is for what cannot wait.
        let threads = std::thread::available_parallelism().map_or(1, |count| (count.get() / 2).max(1));
        let count = Arc::new(AtomicU64::new(0));
        for _ in 0..threads {
            let (queue, count) = (Arc::clone(&queue), Arc::clone(&count));
            let begun = std::thread::Builder::new().name("passwords".into()).spawn(move || work(&queue, &count));
            if let Err(error) = begun {
                tracing::error!(%error, "a thread for passwords could not be started");
            }
        }
        Self { queue: sender, count }
    }

    /// How many passwords were hashed, to be stored or compared.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Hashes a password for storage, as a PHC string.
    ///
    /// # Errors
    /// Too many wait already.
    pub(crate) async fn hash(&self, password: Password) -> Result<String, Error> {
        let (done, answer) = oneshot::channel();
        self.send(Job::Hash(password, done))?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Whether a password is the one with this hash. Without a hash it takes as long and is not.
    ///
    /// # Errors
    /// Too many wait already.
    pub(crate) async fn is(&self, password: Password, hash: Option<&str>) -> Result<bool, Error> {
        let hash = hash.filter(|hash| !hash.is_empty());
        let (done, answer) = oneshot::channel();
        self.send(Job::Check(password, hash.unwrap_or(NOBODYS).to_owned(), done))?;
        Ok(answer.await.map_err(|_| gone())? && hash.is_some())
    }

    fn send(&self, job: Job) -> Result<(), Error> {
        self.queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Error::Unavailable("too many log in at once: try again in a moment".into()),
            TrySendError::Disconnected(_) => gone(),
        })
    }
}

/// Whether a hash is weaker than those made now.
pub(crate) fn is_weak(hash: &str) -> bool {
    !hash.starts_with(STRENGTH)
}

fn gone() -> Error {
    Error::Internal("the threads for passwords are gone".into())
}

fn work(queue: &Mutex<Receiver<Job>>, count: &AtomicU64) {
    // Where it is refused they are only served earlier than they should be.
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE) {
        tracing::debug!(%error, "the threads for passwords keep their priority");
    }
    let mut memory = Memory::default();
    while let Some(job) = next(queue, &mut memory) {
        // Whoever has gone away needs no answer.
        match job {
            Job::Hash(password, done) if !done.is_closed() => {
                count.fetch_add(1, Ordering::Relaxed);
                drop(done.send(hash(&password, &mut memory)));
            }
            Job::Check(password, of, done) if !done.is_closed() => {
                count.fetch_add(1, Ordering::Relaxed);
                let _ = done.send(is(&password, &of, &mut memory));
            }
            Job::Hash(..) | Job::Check(..) => {}
        }
    }
}

/// Waits for the next job, if there will be one. One thread at most keeps its memory while it waits, and not for long.
fn next(queue: &Mutex<Receiver<Job>>, memory: &mut Memory) -> Option<Job> {
    let soon = queue.try_lock().ok().and_then(|queue| queue.recv_timeout(KEPT).ok());
    soon.or_else(|| {
        *memory = Memory::default();
        lock(queue).recv().ok()
    })
}

/// What a thread makes its hashes in. Freed and taken anew for each, it would be given back to the system long after, and
/// many times over.
#[derive(Default)]
struct Memory(Vec<Block>);

impl Memory {
    /// What becomes of a password.
    fn output(&mut self, argon2: &Argon2<'_>, password: &Password, salt: Salt) -> Option<Output> {
        let mut buffer = [0; Output::MAX_LENGTH];
        let out = buffer.get_mut(..argon2.params().output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN))?;
        let blocks = argon2.params().block_count().max(self.0.len());
        self.0.resize(blocks, Block::new());
        argon2.hash_password_into_with_memory(password.bytes(), &salt, out, &mut self.0).ok()?;
        Output::new(out).ok()
    }
}

fn hash(password: &Password, memory: &mut Memory) -> Result<String, Error> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None)
        .map_err(|_| Error::Internal("argon2 refuses its parameters".into()))?;
    let (algorithm, version, salt) = (Algorithm::Argon2id, Version::V0x13, Salt::generate());
    let written = ParamsString::try_from(&params);
    let output = memory.output(&Argon2::new(algorithm, version, params), password, salt);
    let (Ok(params), Some(output)) = (written, output) else {
        return Err(Error::Internal("a password could not be hashed".into()));
    };
    let (algorithm, version) = (algorithm.ident(), Some(version.into()));
    Ok(PasswordHash { algorithm, version, params, salt: Some(salt), hash: Some(output) }.to_string())
}

/// By the parameters that stand in the hash.
fn is(password: &Password, of: &str, memory: &mut Memory) -> bool {
    let mut is_its = || {
        let of = PasswordHash::new(of).ok()?;
        let algorithm = Algorithm::try_from(of.algorithm.as_str()).ok()?;
        let version = of.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
        let argon2 = Argon2::new(algorithm, version, Params::try_from(&of).ok()?);
        // Outputs are compared in constant time.
        Some(memory.output(&argon2, password, of.salt?)? == of.hash?)
    };
    is_its().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_its_hash_and_nobodys_is_none() {
        let hasher = Hasher::start();
        let given = |text: &str| Password::given(text).unwrap();
        let hash = hasher.hash(given("plum tractor ode")).await.unwrap();
        assert!(!is_weak(&hash), "{hash}");
        assert!(is_weak("$argon2id$v=19$m=4096,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAA") && !is_weak(NOBODYS));
        assert_eq!(hasher.is(given("plum tractor ode"), Some(&hash)).await, Ok(true));
        assert_eq!(hasher.is(given("plum tractor odd"), Some(&hash)).await, Ok(false));
        for nobody in [None, Some("")] {
            assert_eq!(hasher.is(given("plum tractor ode"), nobody).await, Ok(false));
        }
        assert_ne!(hash, hasher.hash(given("plum tractor ode")).await.unwrap(), "each has a salt of its own");
    }

    #[test]
    fn memory_that_is_used_again_makes_the_same_hashes() {
        use argon2::password_hash::{PasswordHasher, PasswordVerifier};

        let given = |text: &str| Password::given(text).unwrap();
        let (mine, others) = (given("plum tractor ode"), given("plum tractor odd"));
        let mut memory = Memory::default();
        // As the library makes and checks them, which takes memory anew each time; of other sizes, too.
        let theirs = |params| Argon2::from(params).hash_password(mine.bytes()).unwrap().to_string();
        let small = theirs(Params::new(64, 1, 2, Some(20)).unwrap());
        let large = theirs(Params::default());
        for of in [&small, &large, &small, &hash(&mine, &mut memory).unwrap()] {
            assert!(is(&mine, of, &mut memory), "{of}");
            assert!(!is(&others, of, &mut memory), "{of}");
            assert!(Argon2::default().verify_password(mine.bytes(), of.as_str()).is_ok(), "{of}");
        }
        for broken in
            ["", "x", "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA", "$scrypt$ln=1,r=1,p=1$AAAAAAAA$AAAA"]
        {
            assert!(!is(&mine, broken, &mut memory), "{broken}");
        }
    }

    /// security.md 18
    #[test]
    fn what_waits_is_bounded() {
        let hasher = Hasher::start();
        let mut waiting = Vec::new();
        let outcomes: Vec<_> = (0..QUEUE * 2)
            .map(|_| {
                let (done, answer) = oneshot::channel();
                waiting.push(answer);
                hasher.send(Job::Check(Password::given("x").unwrap(), NOBODYS.into(), done))
            })
            .collect();
        let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(Error::Unavailable(_)))).count();
        assert!((QUEUE / 2..=QUEUE).contains(&refused), "{refused}");
    }
}
