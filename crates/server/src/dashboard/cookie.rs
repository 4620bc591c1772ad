//! What a browser sends of itself: its session's cookie, and forms of pages of ours.

use axum::extract::{FromRequest, Request};
use http::header::{CONTENT_TYPE, COOKIE, HOST, ORIGIN};
use http::{HeaderMap, HeaderValue};
use keywright_app::error::Error;
use keywright_core::secret::PlainKey;

use crate::extract::{MOST_BYTES, read as read_body};
use crate::problem::Problem;
use crate::{Options, Server};

/// `__Host-`: set by this host alone, over TLS or on the machine itself, for every path (RFC 6265bis, 4.1.3.2).
pub(crate) const NAME: &str = "__Host-keywright";

/// The session a browser shows; none where it shows two.
pub(super) fn read(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut ours = pairs.filter(|(name, _)| *name == NAME).map(|(_, value)| value);
    let first = ours.next()?;
    ours.next().is_none().then_some(first)
}

/// Has the browser keep a session for so long.
pub(super) fn keep(cookie: &PlainKey, seconds: i64) -> Option<HeaderValue> {
    let text = format!("{NAME}={}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax", cookie.reveal());
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Has the browser forget its session.
pub(super) fn forget() -> HeaderValue {
    HeaderValue::from_static("__Host-keywright=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax")
}

/// A form that a page of ours was sent by.
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// Every field, in the order of the page.
    pub(super) fn fields(&self) -> &[(String, String)] {
        &self.0
    }

    pub(super) fn into_fields(self) -> Vec<(String, String)> {
        self.0
    }

    /// A field's text; empty where there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }

    /// A field's text, where something was typed.
    pub(super) fn typed(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.trim().is_empty())
    }

    /// All values of a field.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(field, _)| field == name).map(|(_, value)| value.clone()).collect()
    }
}

impl FromRequest<Server> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request, server: &Server) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        if !is_from_a_page_of_ours(&parts.headers, &server.options) {
            return Err(Error::Forbidden("this form was not sent by a page of ours: open the page anew".into()).into());
        }
        let kind = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
        {
            return Err(Problem::new("NOT_JSON", "send a form: `Content-Type: application/x-www-form-urlencoded`"));
        }
        let bytes = read_body(body, MOST_BYTES).await?;
        // Browsers send a line's end as two characters.
        let fields = form_urlencoded::parse(&bytes).into_owned();
        Ok(Self(fields.map(|(name, value)| (name, value.replace("\r\n", "\n"))).collect()))
    }
}

/// Whether the browser says that a page of this origin sent it. One that says nothing is not believed.
fn is_from_a_page_of_ours(headers: &HeaderMap, options: &Options) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let site = text("sec-fetch-site");
    if site.is_some_and(|site| site != "same-origin") {
        return false;
    }
    // A page that sends no referrer sends no origin either (the Fetch standard, append a request `Origin` header).
    let Some(origin) = text(ORIGIN.as_str()).filter(|origin| *origin != "null") else { return site.is_some() };
    let is_public = options.public_url.as_deref().is_some_and(|url| origin_of(url) == Some(origin));
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    is_public || (authority.is_some() && authority == text(HOST.as_str()))
}

/// `https://keys.example.com` of `https://keys.example.com/anything`.
fn origin_of(url: &str) -> Option<&str> {
    let start = url.find("://")? + 3;
    let end = url.get(start..)?.find('/').map_or(url.len(), |at| start + at);
    url.get(..end)
}

/// Whether a path leads to a page of the dashboard, and nowhere else.
pub(crate) fn is_ours(path: &str) -> bool {
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    is_plain && path.starts_with("/dashboard") && !path.contains("//") && !path.contains("/dashboard/login")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()));
        pairs.collect()
    }

    #[test]
    fn a_form_comes_from_a_page_of_this_origin() {
        let options = Options { public_url: Some("https://keys.example.com/".into()), ..Options::default() };
        let is = |pairs: &[(&'static str, &str)]| is_from_a_page_of_ours(&headers(pairs), &options);
        let host = ("host", "keys.example.com");
        assert!(is(&[host, ("origin", "https://keys.example.com")]));
        assert!(is(&[("host", "10.0.0.1:8700"), ("origin", "https://keys.example.com")]), "a proxy changes the host");
        assert!(is(&[("host", "127.0.0.1:8700"), ("origin", "http://127.0.0.1:8700")]));
        assert!(is(&[host, ("sec-fetch-site", "same-origin")]));
        assert!(is(&[host, ("sec-fetch-site", "same-origin"), ("origin", "null")]), "a page without a referrer");
        assert!(!is(&[host, ("sec-fetch-site", "cross-site"), ("origin", "null")]));
        for origin in ["https://evil.example", "null", "https://keys.example.com.evil.example", "", "keys.example.com"]
        {
            assert!(!is(&[host, ("origin", origin)]), "{origin}");
        }
        assert!(!is(&[host]));
        assert!(!is(&[host, ("origin", "https://keys.example.com"), ("sec-fetch-site", "same-site")]));
    }

    #[test]
    fn one_cookie_is_a_session_and_two_are_none() {
        assert_eq!(read(&headers(&[("cookie", "a=b; __Host-keywright=kwb_x; c=d")])), Some("kwb_x"));
        assert_eq!(read(&headers(&[("cookie", "__Host-keywright=a; __Host-keywright=b")])), None);
        assert_eq!(read(&headers(&[("cookie", "x__Host-keywright=a")])), None);
    }

    #[test]
    fn a_redirect_stays_here() {
        for path in ["/dashboard/keys", "/dashboard/keys?status=active&limit=3"] {
            assert!(is_ours(path), "{path}");
        }
        for path in [
            "",
            "/",
            "//evil.example",
            "https://evil.example/dashboard",
            "/dashboard//evil",
            "/dashboard\\x",
            "/dashboard/login?next=/dashboard",
            "/dashboard\r\nset-cookie: a",
            "dashboard",
        ] {
            assert!(!is_ours(path), "{path}");
        }
    }
}
