//! What Envoy is told: that a request may pass, and what to do with its headers, or the very answer to give.

use bytes::Bytes;
use http::{HeaderMap, Response};

use super::messages::{
    BoolValue, CheckResponse, DeniedHttpResponse, HeaderValue, HeaderValueOption, HttpResponse, HttpStatus,
    OkHttpResponse, RpcStatus,
};
use crate::gateway::headers::Change;

/// `google.rpc.Code.PERMISSION_DENIED`. Of a denial, Envoy reads no more of it than that it is not 0.
const DENIED: i32 = 7;

/// It may pass, with its headers so changed. The client is told these.
pub(super) fn allowed(change: &Change, told: &HeaderMap) -> CheckResponse {
    let ok = OkHttpResponse {
        headers: lines(&change.set),
        headers_to_remove: change.remove.iter().map(ToString::to_string).collect(),
        response_headers_to_add: lines(told),
    };
    CheckResponse { status: Some(RpcStatus { code: 0 }), http_response: Some(HttpResponse::Ok(ok)) }
}

/// It may not, and this is the answer.
pub(super) fn denied(answer: &Response<Bytes>) -> CheckResponse {
    let denied = DeniedHttpResponse {
        status: Some(HttpStatus { code: answer.status().as_u16().into() }),
        headers: lines(answer.headers()),
        body: String::from_utf8_lossy(answer.body()).into_owned(),
    };
    CheckResponse { status: Some(RpcStatus { code: DENIED }), http_response: Some(HttpResponse::Denied(denied)) }
}

/// Headers to set, whatever was there by their names.
fn lines(headers: &HeaderMap) -> Vec<HeaderValueOption> {
    let mut last = None;
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        // Lines of one name come one after another. The second and any further stand beside the first.
        let is_further = last.replace(name.clone()).as_ref() == Some(name);
        let header = HeaderValue {
            key: Bytes::copy_from_slice(name.as_str().as_bytes()),
            value: Bytes::copy_from_slice(String::from_utf8_lossy(value.as_bytes()).as_bytes()),
            raw_value: Bytes::new(),
        };
        HeaderValueOption { header: Some(header), append: Some(BoolValue { value: is_further }) }
    };
    headers.iter().map(line).collect()
}
