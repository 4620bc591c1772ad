//! What a provider's people see of it on every page: its name, its logo and its colour, as the policy says.

use std::fmt;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};

use crate::Server;

const STYLE: &str = include_str!("../../templates/dashboard/style.css");
/// A key, for whoever has no logo.
const KEY: &str = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><circle cx='5.5' cy='8' r='3.5' fill='none' \
    stroke='#0b6e4f' stroke-width='2.4'/><path d='M9 8h6v3' fill='none' stroke='#0b6e4f' stroke-width='2.4'/></svg>";
/// A picture that is opened by itself runs nothing and loads nothing.
const PICTURE: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'";

/// The service as pages name it.
pub(crate) struct Service {
    name: String,
    /// Whether it has a logo, which is then at `/dashboard/logo`.
    pub(crate) has_logo: bool,
}

impl fmt::Display for Service {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.name)
    }
}

pub(crate) fn service(server: &Server) -> Service {
    let policy = &server.app.world().policy;
    Service { name: policy.login.name.clone(), has_logo: policy.brand.logo.is_some() }
}

/// `GET /dashboard/style.css`
pub(crate) async fn style(State(server): State<Server>) -> Response {
    let accent = server.app.world().policy.brand.accent.as_ref().map(|accent| {
        let keywright_core::brand::Accent { light, dark, light_soft, dark_soft } = accent;
        format!(
            ":root {{ --accent: light-dark({light}, {dark}); --accent-soft: light-dark({light_soft}, {dark_soft}); }}\n"
        )
    });
    let text = format!("{STYLE}{}", accent.unwrap_or_default());
    ([(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "max-age=3600")], text).into_response()
}

/// `GET /dashboard/logo`
pub(crate) async fn logo(State(server): State<Server>) -> Response {
    let own = server.app.world().policy.brand.logo.as_ref();
    let (media_type, bytes) = own.map_or(("image/svg+xml", KEY.as_bytes()), |logo| (logo.media_type, &*logo.bytes));
    let headers = [(CONTENT_TYPE, media_type), (CONTENT_SECURITY_POLICY, PICTURE), (CACHE_CONTROL, "max-age=3600")];
    (headers, bytes.to_vec()).into_response()
}
