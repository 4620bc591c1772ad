//! A person's own password and second factor.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use keywright_app::error::Error;
use keywright_core::totp::qr_svg;
use zeroize::Zeroizing;

use super::look::Mistakes;
use super::{Form, Frame, Person, page, see};
use crate::Server;
use crate::extract::Origin;
use crate::problem::Problem;

/// A second factor that is being set up.
struct Pending {
    /// The secret in groups of four, to be typed by hand.
    secret: String,
}

#[derive(Template)]
#[template(path = "dashboard/security.html")]
struct Security {
    frame: Frame,
    email: String,
    is_on: bool,
    codes_left: i64,
    pending: Option<Pending>,
    /// Whether setting it up takes the password.
    must_prove: bool,
    /// The address that becomes theirs once they follow a link; empty where none does.
    waiting_for: String,
    typed_email: String,
    /// What is wrong, in which of the page's forms.
    wrong_in: &'static str,
    mistakes: Mistakes,
}

const FIELDS: [&str; 4] = ["password", "new_password", "code", "email"];

async fn about(server: &Server, visitor: &Person, notice: &'static str) -> Result<Security, Error> {
    let (person, codes_left) = server.app.get_self(&visitor.caller).await?;
    let is_on = person.user.second_factor_at.is_some();
    // What is set up is shown to whoever has just proved who they are, and so is what it takes to go on.
    let may_see = !is_on && visitor.is_proved;
    let pending = if may_see { server.app.pending_factor(&visitor.caller).await.ok() } else { None };
    let grouped = |secret: &str| {
        let letters: Vec<char> = secret.chars().collect();
        letters.chunks(4).map(String::from_iter).collect::<Vec<_>>().join(" ")
    };
    Ok(Security {
        frame: visitor.frame(server, "security", notice),
        email: visitor.email.clone(),
        is_on,
        codes_left,
        must_prove: !visitor.is_proved,
        pending: pending.map(|pending| Pending { secret: grouped(&pending.secret) }),
        waiting_for: server.app.pending_email(&visitor.caller).await?.unwrap_or_default(),
        typed_email: String::new(),
        wrong_in: "",
        mistakes: Mistakes::default(),
    })
}

/// `GET /dashboard/security`
pub(crate) async fn show(
    State(server): State<Server>,
    visitor: Person,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let notice = match query.as_deref() {
        Some("done=password") => "You have another password. Every other session of yours has ended.",
        Some("done=email") => "A letter is on its way to the new address. Follow its link, and it is yours.",
        Some("done=set-up") => {
            "You are the operator of this server. Turn your second factor on now: whoever has your password may do everything."
        }
        Some("done=off") => "The second factor is off. A password alone lets somebody in now.",
        _ => "",
    };
    page(StatusCode::OK, &about(&server, &visitor, notice).await?)
}

/// The page again, with what is wrong in one of its forms.
async fn again(server: &Server, visitor: &Person, form: &'static str, error: Error) -> Result<Response, Problem> {
    again_with(server, visitor, form, error, "").await
}

async fn again_with(
    server: &Server,
    visitor: &Person,
    form: &'static str,
    error: Error,
    email: &str,
) -> Result<Response, Problem> {
    let beside = match error {
        Error::LoginFailed => Some(("password", "is not your present password")),
        Error::CodeWrong => Some(("code", "is wrong, or was used before: wait for the next one")),
        Error::Invalid(_) | Error::Conflict(_) | Error::Limited(_) => None,
        other @ (Error::Unauthenticated
        | Error::SessionOver
        | Error::NotFound(_)
        | Error::LacksPermission(_)
        | Error::Forbidden(_)
        | Error::Unavailable(_)
        | Error::Unanswered
        | Error::Internal(_)) => return Err(other.into()),
    };
    let mistakes = match beside {
        Some((field, reason)) => Mistakes::beside(field, reason),
        None => Mistakes::new(&error, &FIELDS),
    };
    let status = Problem::from(error).status();
    // Being wrong here ends no session, and is no reason to log in anew.
    let status = if status == StatusCode::UNAUTHORIZED { StatusCode::UNPROCESSABLE_ENTITY } else { status };
    page(status, &Security { wrong_in: form, typed_email: email.into(), mistakes, ..about(server, visitor, "").await? })
}

/// `POST /dashboard/security/password`
pub(crate) async fn change_password(
    State(server): State<Server>,
    visitor: Person,
    Origin(place): Origin,
    form: Form,
) -> Result<Response, Problem> {
    let (present, next, code) = (form.text("password"), form.text("new_password"), form.typed("code"));
    match server.app.change_password(&visitor.caller, present, code, next, &place).await {
        Ok(()) => Ok(see("/dashboard/security?done=password")),
        Err(error) => again(&server, &visitor, "password", error).await,
    }
}

/// `POST /dashboard/security/email`
pub(crate) async fn change_email(
    State(server): State<Server>,
    visitor: Person,
    Origin(place): Origin,
    form: Form,
) -> Result<Response, Problem> {
    let (email, password, code) = (form.text("email"), form.text("password"), form.typed("code"));
    match server.app.change_email(&visitor.caller, email, password, code, &place).await {
        Ok(()) => Ok(see("/dashboard/security?done=email")),
        Err(error) => again_with(&server, &visitor, "email", error, email).await,
    }
}

/// `POST /dashboard/security/2fa/setup`
pub(crate) async fn set_up(
    State(server): State<Server>,
    visitor: Person,
    Origin(place): Origin,
    form: Form,
) -> Result<Response, Problem> {
    if !visitor.is_proved
        && let Err(error) = server.app.prove_session(&visitor.caller, form.text("password"), None, &place).await
    {
        return again(&server, &visitor, "factor", error).await;
    }
    match server.app.set_up_factor(&visitor.caller).await {
        Ok(_) => Ok(see("/dashboard/security#second-factor")),
        Err(error) => again(&server, &visitor, "factor", error).await,
    }
}

/// `GET /dashboard/security/2fa/qr.svg`
pub(crate) async fn picture(State(server): State<Server>, visitor: Person) -> Result<Response, Problem> {
    must_be_proved(&visitor)?;
    let enrolment = server.app.pending_factor(&visitor.caller).await?;
    let picture = qr_svg(&enrolment.url).ok_or_else(|| Error::Internal("a picture could not be drawn".into()))?;
    let headers = [
        (CONTENT_TYPE, "image/svg+xml"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ];
    Ok((headers, picture).into_response())
}

/// Whoever found a browser open has no use for what was set up in it.
fn must_be_proved(visitor: &Person) -> Result<(), Error> {
    if visitor.is_proved {
        return Ok(());
    }
    Err(Error::Conflict("this was begun too long ago: set the second factor up again".into()))
}

/// Codes on paper, this once.
#[derive(Template)]
#[template(path = "dashboard/codes.html")]
struct Codes {
    frame: Frame,
    codes: Vec<Zeroizing<String>>,
    /// The same as a file's text.
    file: Zeroizing<String>,
}

fn shown(server: &Server, visitor: &Person, codes: Vec<Zeroizing<String>>) -> Result<Response, Problem> {
    let lines: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let file = Zeroizing::new(lines.join("%0A"));
    page(StatusCode::OK, &Codes { frame: visitor.frame(server, "security", ""), codes, file })
}

/// `POST /dashboard/security/2fa/start`
pub(crate) async fn start(
    State(server): State<Server>,
    visitor: Person,
    Origin(place): Origin,
    form: Form,
) -> Result<Response, Problem> {
    if let Err(error) = must_be_proved(&visitor) {
        return again(&server, &visitor, "factor", error).await;
    }
    match server.app.start_factor(&visitor.caller, form.text("code"), &place).await {
        Ok(codes) => shown(&server, &visitor, codes),
        Err(error) => again(&server, &visitor, "factor", error).await,
    }
}

/// `POST /dashboard/security/2fa/codes`
pub(crate) async fn renew_codes(
    State(server): State<Server>,
    visitor: Person,
    Origin(place): Origin,
    form: Form,
) -> Result<Response, Problem> {
    match server.app.renew_backup_codes(&visitor.caller, form.text("password"), form.typed("code"), &place).await {
        Ok(codes) => shown(&server, &visitor, codes),
        Err(error) => again(&server, &visitor, "codes", error).await,
    }
}

/// `POST /dashboard/security/2fa/disable`
pub(crate) async fn stop(
    State(server): State<Server>,
    visitor: Person,
    Origin(place): Origin,
    form: Form,
) -> Result<Response, Problem> {
    match server.app.stop_factor(&visitor.caller, form.text("password"), form.typed("code"), &place).await {
        Ok(()) => Ok(see("/dashboard/security?done=off")),
        Err(error) => again(&server, &visitor, "codes", error).await,
    }
}
