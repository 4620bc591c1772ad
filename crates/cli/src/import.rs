//! `keywright keys import`: bring in keys another system issued, by their SHA-256 hashes.
//!
//! The file is read once, in pieces of bounded size. A bad line is reported and passed over; a row that is there already
//! is counted and left alone, so running an import again is harmless, and one that was cut off goes on where it was.

mod cells;
mod checkpoint;
mod lines;
mod rows;

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};

use crate::call::{Call, Reply, one_line};
use crate::exit::{self, Exit, fail};
use crate::options::Global;
use crate::session::{self, Session};
use crate::{output, progress, say};

use checkpoint::{Checkpoint, Job};
use rows::{Row, Rows};

/// What the help says beneath the options.
pub(crate) const HELP: &str = "\
CSV begins with a line of column names: hash, and any of prefix, name, description, environment, role, services, permissions, \
ip_allowlist, expires_in, credits, refill, ratelimits, metadata. Lists are separated by ; or spaces; a refill is written \
1000/30d, a rate limit requests=100/1m, metadata as a JSON object. JSON lines are objects with the same names, as the API takes \
them. The hash is the SHA-256 of the whole key, in hexadecimal or base64.

An import that was cut off is run again with the same words and goes on where it was.

Examples:
  keywright keys import keys.csv --account acc_…
  keywright keys import keys.jsonl --account acc_… --kind imported --report refused.jsonl";

/// Rows a request brings.
const BATCH: usize = 500;
/// The most a request's rows take as JSON; the API takes 4 MiB.
const BATCH_BYTES: usize = 2 * 1_024 * 1_024;
/// Refusals that are shown where there is no report.
const SHOWN: u64 = 10;
/// How often a server that is out of reach is tried again, each time after twice as long.
const TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// How the file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// Comma-separated, with a line of column names
    Csv,
    /// A JSON object a line
    Jsonl,
}

/// `keys import`
#[derive(Args)]
pub(crate) struct Import {
    /// The file
    file: PathBuf,
    /// The account the keys are for
    #[arg(long, value_name = "ACCOUNT")]
    account: String,
    /// Their kind [default: imported]
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// How the file is written [default: by its name]
    #[arg(long, value_name = "FORMAT")]
    format: Option<FileFormat>,
    /// Where to write what was refused and why: a JSON object a line
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Brings in a file.
pub(crate) async fn run(global: &Global, import: Import) -> Result<Exit> {
    let format = import.format()?;
    let mut file = File::open(&import.file).map_err(|error| {
        let exit = if error.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
        fail(exit, format!("{} cannot be read: {error}", import.file.display()))
    })?;
    let header = match format {
        FileFormat::Jsonl => None,
        FileFormat::Csv => Some(rows::read_header(BufReader::new(&file))?),
    };
    let header =
        header.transpose().map_err(|reason| fail(Exit::Usage, format!("{}:1: {reason}", import.file.display())))?;
    let done = session::with(global, async |session| {
        let (to, meta) = (session.describe(), file.metadata()?);
        let job = Job::new(to, &import.account, import.kind.as_deref(), import.report.as_deref(), &meta);
        let kept = checkpoint::find(&import.file, &job);
        if let Some(kept) = &kept {
            say::note(&format!("Going on after line {}, where the import was cut off.", kept.line));
        }
        let begin = header.as_ref().map_or((0, 0), |header| (header.end, 1));
        let state = kept.unwrap_or(Checkpoint { job, at: begin.0, line: begin.1, ..Checkpoint::default() });
        file.seek(SeekFrom::Start(state.at))?;
        let rows = Rows::new(
            BufReader::new(&file),
            state.at,
            state.line,
            header.as_ref().map(|header| header.columns.clone()),
        );
        let report = import.report.as_deref().map(|path| open_report(path, state.report_bytes)).transpose()?;
        let bar = progress::bytes(meta.len(), "importing");
        let mut run = Run { session, import: &import, state, report, bar };
        let done = run.all(rows).await;
        run.bar.finish_and_clear();
        done.map(|()| run.state)
    });
    finish(global, &import, &done.await?)
}

impl Import {
    fn format(&self) -> Result<FileFormat> {
        let by_name = || match self.file.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Some(FileFormat::Csv),
            Some("jsonl" | "ndjson" | "json") => Some(FileFormat::Jsonl),
            _ => None,
        };
        self.format.or_else(by_name).ok_or_else(|| {
            fail(Exit::Usage, format!("how is {} written? Say --format csv or --format jsonl", self.file.display()))
        })
    }
}

/// Says how it went, and forgets that it was under way.
fn finish(global: &Global, import: &Import, state: &Checkpoint) -> Result<Exit> {
    drop(std::fs::remove_file(checkpoint::path(&import.file)));
    let Checkpoint { created, present, refused, .. } = *state;
    output::object(global, &json!({ "created": created, "present": present, "refused": refused }))?;
    say::note(&format!("{created} keys were brought in, {present} were there already, {refused} lines were refused."));
    if refused == 0 {
        return Ok(Exit::Done);
    }
    match &import.report {
        Some(report) => say::note(&format!("Which and why is in {}.", report.display())),
        None => say::note("--report FILE writes down which and why; running it again is harmless."),
    }
    Ok(Exit::Partly)
}

/// Opens the report for what comes next; what was written after the last checkpoint comes again.
fn open_report(path: &Path, bytes: u64) -> Result<File> {
    let opened = || -> std::io::Result<File> {
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        file.set_len(bytes)?;
        file.seek(SeekFrom::End(0))?;
        Ok(file)
    };
    opened().with_context(|| format!("the report {} cannot be written", path.display()))
}

struct Run<'a> {
    session: &'a Session,
    import: &'a Import,
    state: Checkpoint,
    report: Option<File>,
    bar: ProgressBar,
}

impl Run<'_> {
    async fn all(&mut self, mut rows: Rows<BufReader<&File>>) -> Result<()> {
        loop {
            let (batch, is_last) = next_batch(&mut rows)?;
            if !batch.is_empty() {
                self.bring(batch).await?;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Brings a batch, reports what was refused, and only then keeps how far it came.
    async fn bring(&mut self, batch: Vec<Row>) -> Result<()> {
        let end = batch.last().map(|row| (row.end, row.last_line));
        let mut refused = Vec::new();
        let mut sent = Vec::new();
        let mut objects: Vec<Value> = Vec::new();
        for row in batch {
            match row.fields {
                Ok(fields) => {
                    sent.push(row.line);
                    objects.push(fields.into());
                }
                Err(reason) => refused.push((row.line, reason)),
            }
        }
        if !objects.is_empty() {
            let answer = self.send(objects).await?;
            let count = |name| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
            self.state.created += count("created");
            self.state.present += count("present");
            let results = answer.get("results").and_then(Value::as_array).into_iter().flatten();
            refused.extend(results.filter_map(|result| refusal(result, &sent)));
        }
        refused.sort();
        self.tell(&refused)?;
        if let Some((at, line)) = end {
            (self.state.at, self.state.line) = (at, line);
            self.bar.set_position(at);
        }
        self.state.keep(&self.import.file)
    }

    async fn send(&self, objects: Vec<Value>) -> Result<Value> {
        let mut body = Map::new();
        body.insert("account_id".into(), self.import.account.clone().into());
        body.extend(self.import.kind.clone().map(|kind| ("kind".to_owned(), kind.into())));
        body.insert("keys".into(), objects.into());
        let call = Call::post("/v1/keys/import", body.into());
        let mut pause = FIRST_PAUSE;
        for _ in 1..TRIES {
            // Rows that got there although the answer did not are there already the next time.
            match self.session.send(call.clone()).await {
                Ok(reply) if !is_passing(&reply) => return reply.into_result(),
                Err(error) if exit::code(&error) != Exit::Unreachable => return Err(error),
                Ok(_) | Err(_) => tokio::time::sleep(pause).await,
            }
            pause *= 2;
        }
        let last = self.session.send(call).await.and_then(Reply::into_result);
        last.context("the import was cut off; the same command goes on where it was")
    }

    fn tell(&mut self, refused: &[(u64, String)]) -> Result<()> {
        for (line, reason) in refused {
            self.state.refused += 1;
            if let Some(report) = &mut self.report {
                let text = format!("{}\n", json!({ "line": line, "outcome": "refused", "reason": reason }));
                report.write_all(text.as_bytes()).context("the report cannot be written")?;
                self.state.report_bytes += text.len() as u64;
            } else if self.state.refused <= SHOWN {
                let file = self.import.file.display();
                self.bar.suspend(|| say::note(&format!("{file}:{line}: {}", one_line(reason))));
            }
        }
        Ok(())
    }
}

/// The next rows, and whether they are the last.
fn next_batch(rows: &mut Rows<BufReader<&File>>) -> Result<(Vec<Row>, bool)> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    while batch.len() < BATCH && bytes < BATCH_BYTES {
        let Some(row) = rows.next().context("the file cannot be read any further")? else { return Ok((batch, true)) };
        // JSON takes more than the file where characters are escaped: at most six times.
        bytes += row.fields.as_ref().map_or(0, |fields| serde_json::to_string(fields).map_or(0, |text| text.len()));
        batch.push(row);
    }
    Ok((batch, false))
}

/// The line of a result that is a refusal, and its reason.
fn refusal(result: &Value, sent: &[u64]) -> Option<(u64, String)> {
    let outcome = result.get("outcome").and_then(Value::as_str)?;
    let index = usize::try_from(result.get("index").and_then(Value::as_u64)?).ok()?;
    let reason = result.get("reason").and_then(Value::as_str).unwrap_or("no reason was given");
    (outcome == "refused").then_some((*sent.get(index)?, reason.to_owned()))
}

/// Whether trying again may help.
fn is_passing(reply: &Reply) -> bool {
    matches!(reply.status, 408 | 429 | 502..=504)
}
