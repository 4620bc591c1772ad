//! Object storage on the file system, spoken to as S3 with paths for buckets: what a client that shows a key can use.
//!
//! Buckets are folders and objects are files in them, an object's whole key in the file's name. A new object is written
//! beside its place and then put there, so that no reader sees half of one. What of S3 is not here is answered as such.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue, LAST_MODIFIED, RANGE,
};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use keywright_core::time::Time;
use tokio::fs::{self, File};
use tokio::io::{AsyncRead as _, AsyncSeekExt as _, AsyncWriteExt as _, ReadBuf};

/// The bucket there is from the start, the one of the documents' example.
const FIRST: &str = "my-bucket";
/// Objects one list shows.
const MOST_LISTED: usize = 1_000;
/// The longest name of a file.
const LONGEST_NAME: usize = 240;
/// What is read of a file at once.
const PIECE: usize = 64 * 1_024;
/// Beginning of names of what is still being written. No object's begins so.
const UNDER_WAY: &str = ".part-";

/// What goes wrong, as S3 names it.
type Wrong = (StatusCode, &'static str);

const NO_BUCKET: Wrong = (StatusCode::NOT_FOUND, "NoSuchBucket");
const NO_KEY: Wrong = (StatusCode::NOT_FOUND, "NoSuchKey");

/// Makes the folder, and the first bucket where there is none; of one there was, what a crash left half done is removed.
pub(super) async fn prepare(folder: &Path) -> io::Result<()> {
    if !fs::try_exists(folder).await? {
        return fs::create_dir_all(folder.join(FIRST)).await;
    }
    let mut buckets = fs::read_dir(folder).await?;
    while let Some(bucket) = buckets.next_entry().await? {
        let Ok(mut files) = fs::read_dir(bucket.path()).await else { continue };
        while let Some(file) = files.next_entry().await? {
            if file.file_name().to_string_lossy().starts_with(UNDER_WAY) {
                fs::remove_file(file.path()).await?;
            }
        }
    }
    Ok(())
}

/// Answers a request for a path.
pub(super) async fn answer(folder: &Path, path: &str, request: Request) -> Response {
    let method = request.method().clone();
    let is_head = method == Method::HEAD;
    match dispatch(folder, path, request).await {
        Ok(response) => response,
        Err((status, _)) if is_head => status.into_response(),
        Err((status, code)) => {
            let body = format!("<Error><Code>{code}</Code><Message>{method} {}</Message></Error>", escape(path));
            (status, [(CONTENT_TYPE, "application/xml")], xml(&body)).into_response()
        }
    }
}

async fn dispatch(folder: &Path, path: &str, request: Request) -> Result<Response, Wrong> {
    let path = decode(path.trim_start_matches('/'))?;
    let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
    let query = request.uri().query().unwrap_or_default().to_owned();
    if bucket.is_empty() {
        return match *request.method() {
            Method::GET | Method::HEAD => list_buckets(folder).await,
            _ => Err((StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed")),
        };
    }
    if !is_bucket(bucket) {
        return Err((StatusCode::BAD_REQUEST, "InvalidBucketName"));
    }
    let folder = folder.join(bucket);
    if key.is_empty() {
        return match request.method().as_str() {
            "GET" => list_objects(&folder, bucket, &query).await,
            "HEAD" if is_folder(&folder).await => Ok(StatusCode::OK.into_response()),
            "HEAD" => Err(NO_BUCKET),
            "PUT" => fs::create_dir(&folder).await.map(|()| StatusCode::OK.into_response()).map_err(|_| taken()),
            "DELETE" => delete_bucket(&folder).await,
            _ => Err((StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed")),
        };
    }
    if !is_folder(&folder).await {
        return Err(NO_BUCKET);
    }
    if !query.is_empty() {
        // Parts, tags, versions and the like.
        return Err((StatusCode::NOT_IMPLEMENTED, "NotImplemented"));
    }
    let file = folder.join(file_name(key)?);
    match request.method().as_str() {
        "GET" | "HEAD" => get(&file, request.method() == Method::HEAD, request.headers().get(RANGE)).await,
        "PUT" => put(&folder, &file, request.into_body()).await,
        "DELETE" => match fs::remove_file(&file).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(internal(&error)),
            _ => Ok(StatusCode::NO_CONTENT.into_response()),
        },
        _ => Err((StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed")),
    }
}

fn taken() -> Wrong {
    (StatusCode::CONFLICT, "BucketAlreadyOwnedByYou")
}

fn internal(error: &io::Error) -> Wrong {
    tracing::warn!(%error, "the demo storage failed");
    (StatusCode::INTERNAL_SERVER_ERROR, "InternalError")
}

async fn is_folder(path: &Path) -> bool {
    fs::metadata(path).await.is_ok_and(|found| found.is_dir())
}

async fn names(folder: &Path) -> Result<Vec<(String, std::fs::Metadata)>, Wrong> {
    let mut entries = fs::read_dir(folder).await.map_err(|_| NO_BUCKET)?;
    let mut found = Vec::new();
    while let Some(entry) = entries.next_entry().await.map_err(|error| internal(&error))? {
        let (Ok(name), Ok(metadata)) = (entry.file_name().into_string(), entry.metadata().await) else { continue };
        if !name.starts_with(UNDER_WAY) {
            found.push((name, metadata));
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found)
}

async fn list_buckets(folder: &Path) -> Result<Response, Wrong> {
    let mut body = "<ListAllMyBucketsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
        <Owner><ID>demo</ID><DisplayName>demo</DisplayName></Owner><Buckets>"
        .to_owned();
    for (name, metadata) in names(folder).await?.iter().filter(|(_, metadata)| metadata.is_dir()) {
        let made = changed(metadata);
        body.push_str(&format!("<Bucket><Name>{}</Name><CreationDate>{made}</CreationDate></Bucket>", escape(name)));
    }
    body.push_str("</Buckets></ListAllMyBucketsResult>");
    Ok(([(CONTENT_TYPE, "application/xml")], xml(&body)).into_response())
}

async fn list_objects(folder: &Path, bucket: &str, query: &str) -> Result<Response, Wrong> {
    let mut prefix = String::new();
    for (name, value) in query.split('&').map(|field| field.split_once('=').unwrap_or((field, ""))) {
        match name {
            "prefix" => prefix = decode(value)?,
            "" | "list-type" | "max-keys" | "encoding-type" => {}
            _ => return Err((StatusCode::NOT_IMPLEMENTED, "NotImplemented")),
        }
    }
    let mut body = String::new();
    let (mut count, mut is_cut) = (0, false);
    for (name, metadata) in names(folder).await? {
        let key = decode(&name)?;
        if !metadata.is_file() || !key.starts_with(&prefix) {
            continue;
        }
        if count == MOST_LISTED {
            is_cut = true;
            break;
        }
        count += 1;
        let (key, at, tag, size) = (escape(&key), changed(&metadata), tag(&metadata), metadata.len());
        body.push_str(&format!(
            "<Contents><Key>{key}</Key><LastModified>{at}</LastModified><ETag>{}</ETag><Size>{size}</Size></Contents>",
            escape(&tag)
        ));
    }
    let (bucket, prefix) = (escape(bucket), escape(&prefix));
    let body = format!(
        "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>{bucket}</Name><Prefix>{prefix}</Prefix>\
         <KeyCount>{count}</KeyCount><MaxKeys>{MOST_LISTED}</MaxKeys><IsTruncated>{is_cut}</IsTruncated>{body}</ListBucketResult>"
    );
    Ok(([(CONTENT_TYPE, "application/xml")], xml(&body)).into_response())
}

async fn delete_bucket(folder: &Path) -> Result<Response, Wrong> {
    match fs::remove_dir(folder).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(NO_BUCKET),
        Err(_) => Err((StatusCode::CONFLICT, "BucketNotEmpty")),
    }
}

async fn put(folder: &Path, file: &Path, mut body: Body) -> Result<Response, Wrong> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let beside = UnderWay(folder.join(format!("{UNDER_WAY}{}-{number}", std::process::id())));
    let write = async {
        let mut to = File::create(&beside.0).await?;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(io::Error::other)?;
            if let Ok(piece) = frame.into_data() {
                to.write_all(&piece).await?;
            }
        }
        to.flush().await?;
        let metadata = to.metadata().await?;
        fs::rename(&beside.0, file).await?;
        Ok::<_, io::Error>(metadata)
    };
    let metadata = write.await.map_err(|error| internal(&error))?;
    Ok(([(ETAG, tag(&metadata))], StatusCode::OK).into_response())
}

/// A file that is being written. What has not been put in its place is gone with this, also where a client went away and
/// nobody goes on.
struct UnderWay(PathBuf);

impl Drop for UnderWay {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

async fn get(file: &Path, is_head: bool, range: Option<&HeaderValue>) -> Result<Response, Wrong> {
    let mut opened = File::open(file).await.map_err(|_| NO_KEY)?;
    let metadata = opened.metadata().await.map_err(|error| internal(&error))?;
    let size = metadata.len();
    // Of a HEAD it means nothing (RFC 9110, 14.2).
    let part = match range.filter(|_| !is_head).and_then(|range| part(range, size)) {
        Some(part) if part.is_empty() => return Err((StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange")),
        part => part,
    };
    let Range { start, end } = part.clone().unwrap_or(0..size);
    opened.seek(io::SeekFrom::Start(start)).await.map_err(|error| internal(&error))?;
    let contents = Contents { file: opened, left: end - start, space: Vec::new() };
    let body = if is_head { Body::empty() } else { Body::new(contents) };
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_LENGTH, (end - start).to_string()),
        (ACCEPT_RANGES, "bytes".to_owned()),
        (ETAG, tag(&metadata)),
        (LAST_MODIFIED, httpdate(&metadata)),
    ];
    Ok(match part {
        None => (headers, body).into_response(),
        Some(Range { start, end }) => {
            let range = [(CONTENT_RANGE, format!("bytes {start}-{}/{size}", end - 1))];
            (StatusCode::PARTIAL_CONTENT, range, headers, body).into_response()
        }
    })
}

/// The bytes that are asked for, none of them where there are none such (RFC 9110, 14.1.2). What asks for several parts, or is not
/// understood, asks for everything.
fn part(range: &HeaderValue, size: u64) -> Option<Range<u64>> {
    let (first, last) = range.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok())?;
    match (first, last) {
        ("", last) => Some(size.saturating_sub(number(last)?)..size),
        (first, "") => Some(number(first)?.min(size)..size),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then(|| first.min(size)..last.saturating_add(1).min(size))
        }
    }
}

/// A part of a file, piece by piece.
struct Contents {
    file: File,
    left: u64,
    /// Where the next piece is read to.
    space: Vec<u8>,
}

impl HttpBody for Contents {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if this.space.is_empty() {
            this.space = vec![0; usize::try_from(this.left).unwrap_or(PIECE).min(PIECE)];
        }
        let mut buffer = ReadBuf::new(&mut this.space);
        ready!(Pin::new(&mut this.file).poll_read(context, &mut buffer))?;
        let count = buffer.filled().len();
        this.left = this.left.saturating_sub(count as u64);
        let mut piece = std::mem::take(&mut this.space);
        piece.truncate(count);
        Poll::Ready((count > 0).then(|| Ok(Frame::data(piece.into()))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Names of buckets as S3 has them.
fn is_bucket(name: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    (3..=63).contains(&name.len()) && name.bytes().all(sound) && !name.starts_with(['.', '-']) && !name.contains("..")
}

/// A file's name for an object's key: one name, whatever is in the key.
fn file_name(key: &str) -> Result<String, Wrong> {
    let mut name = String::new();
    for byte in key.bytes() {
        let is_plain =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || (byte == b'.' && !name.is_empty());
        if is_plain {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    if name.len() > LONGEST_NAME { Err((StatusCode::BAD_REQUEST, "KeyTooLongError")) } else { Ok(name) }
}

fn decode(text: &str) -> Result<String, Wrong> {
    let wrong = (StatusCode::BAD_REQUEST, "InvalidURI");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let (digits, after) = after.split_at_checked(2).ok_or(wrong)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong)?);
        rest = after;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).map_err(|_| wrong)
}

fn xml(body: &str) -> String {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn modified(metadata: &std::fs::Metadata) -> Time {
    let since = metadata.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    Time::from_millis(since.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or_default())
}

fn changed(metadata: &std::fs::Metadata) -> String {
    modified(metadata).to_string()
}

/// Of what S3 asks of a tag: that another content has another.
fn tag(metadata: &std::fs::Metadata) -> String {
    format!("\"{:x}-{:x}\"", modified(metadata).millis(), metadata.len())
}

/// RFC 9110, 5.6.7.
fn httpdate(metadata: &std::fs::Metadata) -> String {
    httpdate::fmt_http_date(metadata.modified().unwrap_or(std::time::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_name_in_its_bucket_and_comes_back_as_it_was() {
        for key in ["file.txt", "a/b/c", "..", "../../etc/passwd", ".part-1", "ä b%2F", "a\0b", "\\x"] {
            let name = file_name(key).unwrap();
            assert!(!name.contains(['/', '\\', '\0']) && !name.starts_with('.'), "{name}");
            assert_eq!(decode(&name).unwrap(), key);
        }
        assert!(file_name(&"a/".repeat(100)).is_err());
        for name in ["..", "a", ".abc", "a..b", "A-b", "a/b", "-ab"] {
            assert!(!is_bucket(name), "{name}");
        }
    }

    #[test]
    fn a_range_is_what_is_asked_for_and_there() {
        for (range, found) in [
            ("bytes=0-0", Some(0..1)),
            ("bytes=2-4", Some(2..5)),
            ("bytes=2-", Some(2..10)),
            ("bytes=-3", Some(7..10)),
            ("bytes=-30", Some(0..10)),
            ("bytes=8-99", Some(8..10)),
            ("bytes=8-18446744073709551615", Some(8..10)),
            ("bytes=10-", Some(10..10)),
            ("bytes=10-12", Some(10..10)),
            ("bytes=-0", Some(10..10)),
            ("bytes=4-2", None),
            ("bytes=-", None),
            ("bytes=+1-2", None),
            ("bytes=1-2,4-5", None),
            ("bytes=18446744073709551616-", None),
            ("lines=1-2", None),
            ("", None),
        ] {
            assert_eq!(part(&HeaderValue::from_static(range), 10), found, "{range}");
        }
        assert_eq!(part(&HeaderValue::from_static("bytes=0-"), 0), Some(0..0));
    }
}
