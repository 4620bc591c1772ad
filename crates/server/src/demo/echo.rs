//! A service that shows what a service sees, and that chats as far as repeating goes.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as HttpBody, Frame};
use serde_json::{Value, json};
use tokio::time::{Sleep, sleep};

/// The most of a body that is read.
const MOST_BYTES: usize = 1_024 * 1_024;
/// What is chatted with.
const MODEL: &str = "echo";
/// Between two words of a streamed answer.
const PAUSE: Duration = Duration::from_millis(30);

/// Answers a request for a path.
pub(super) async fn answer(path: &str, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MOST_BYTES).collect().await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "the demo service reads bodies of 1 MB").into_response();
    };
    let body = body.to_bytes();
    match (&parts.method, path) {
        (&Method::POST, "/v1/chat/completions") => chat(&body),
        (&Method::GET, "/v1/models") => models(),
        _ => axum::Json(json!({
            "method": parts.method.as_str(),
            "path": path,
            "query": parts.uri.query(),
            "headers": shown(&parts.headers),
            "body": String::from_utf8_lossy(&body),
        }))
        .into_response(),
    }
}

fn shown(headers: &HeaderMap) -> BTreeMap<&str, String> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str(), text(value))).collect()
}

fn models() -> Response {
    let model = json!({ "id": MODEL, "object": "model", "created": 0, "owned_by": "keywright" });
    axum::Json(json!({ "object": "list", "data": [model] })).into_response()
}

fn chat(body: &[u8]) -> Response {
    let Ok(asked) = serde_json::from_slice::<Value>(body) else {
        let error = json!({ "error": { "message": "the body is not JSON", "type": "invalid_request_error" } });
        return (StatusCode::BAD_REQUEST, axum::Json(error)).into_response();
    };
    let model = asked.get("model").and_then(Value::as_str).unwrap_or(MODEL);
    let last = asked.get("messages").and_then(Value::as_array).and_then(|messages| messages.last());
    let said = last.and_then(|message| message.get("content")).and_then(Value::as_str).unwrap_or_default();
    let answer = format!("You said: {said}");
    let whole = |kind: &str, choice: Value| json!({ "id": "chatcmpl-demo", "object": kind, "created": 0, "model": model, "choices": [choice] });
    if asked.get("stream") != Some(&Value::Bool(true)) {
        let message = json!({ "role": "assistant", "content": answer });
        let mut body = whole("chat.completion", json!({ "index": 0, "message": message, "finish_reason": "stop" }));
        if let Some(fields) = body.as_object_mut() {
            let usage = json!({ "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0 });
            fields.insert("usage".into(), usage);
        }
        return axum::Json(body).into_response();
    }
    let piece = |delta: Value, reason: Value| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": reason });
        format!("data: {}\n\n", whole("chat.completion.chunk", choice))
    };
    let words = answer.split_inclusive(' ').map(|word| piece(json!({ "content": word }), Value::Null));
    let mut pieces: VecDeque<String> = [piece(json!({ "role": "assistant", "content": "" }), Value::Null)].into();
    pieces.extend(words);
    pieces.push_back(piece(json!({}), "stop".into()));
    pieces.push_back("data: [DONE]\n\n".into());
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache")];
    (headers, Body::new(Spoken { pieces, pause: None })).into_response()
}

/// A body that comes word by word.
struct Spoken {
    pieces: VecDeque<String>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl HttpBody for Spoken {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(PAUSE)));
        ready!(pause.as_mut().poll(context));
        self.pause = None;
        Poll::Ready(self.pieces.pop_front().map(|piece| Ok(Frame::data(piece.into()))))
    }
}
