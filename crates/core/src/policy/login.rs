//! `[brand]`, `[login]` and `[tokens]`: how pages look, how people log in, and how what shows it is signed.

use super::compile::{Check, MAX_NAME};
use super::raw::RawPolicy;
use crate::brand::{Brand, Colour, Logo};
use crate::exchange::LONGEST as EXCHANGED;
use crate::login::Login;
use crate::session::TOKEN_LIFE;
use crate::signing::Algorithm;
use crate::time::Span;

/// The longest a login may last.
const LONGEST_SESSION: Span = Span::days(400);

/// How pages look.
pub(super) fn brand(raw: &RawPolicy, check: &mut Check<'_>) -> Brand {
    let (logo, accent) = (&raw.brand.logo, &raw.brand.accent);
    let logo = logo.as_ref().and_then(|said| {
        check.take(said, said.get_ref().parse::<Logo>().map_err(|reason| format!("brand.logo {reason}")))
    });
    let accent = accent.as_ref().and_then(|said| {
        check.take(said, said.get_ref().parse::<Colour>().map_err(|reason| format!("brand.accent: {reason}")))
    });
    Brand { logo, accent: accent.map(Into::into) }
}

/// How people log in: what the policy says, or what is usual.
pub(super) fn login(raw: &RawPolicy, check: &mut Check<'_>) -> Login {
    let (said, mut login) = (&raw.login, Login::default());
    if let Some(name) = &said.name {
        let is_name = (1..=MAX_NAME).contains(&name.get_ref().chars().count());
        if !is_name || name.get_ref().chars().any(|char| char.is_control() || char == ':') {
            check.say(&name.span(), format!("login.name is 1 to {MAX_NAME} characters, without a colon"));
        }
        login.name.clone_from(name.get_ref());
    }
    for (field, said, to) in [("session", &said.session, &mut login.session), ("idle", &said.idle, &mut login.idle)] {
        let Some(span) = said else { continue };
        if !(TOKEN_LIFE.millis()..=LONGEST_SESSION.millis()).contains(&span.get_ref().millis()) {
            let message =
                format!("login.{field} is from {TOKEN_LIFE}, which an access token lives, to {LONGEST_SESSION}");
            check.say(&span.span(), message);
        }
        *to = *span.get_ref();
    }
    login.idle = login.idle.min(login.session);
    login.is_open = said.open.unwrap_or(login.is_open);
    let links = [
        ("verify", &said.verify_link, &mut login.verify_link),
        ("reset", &said.reset_link, &mut login.reset_link),
        ("join", &said.join_link, &mut login.join_link),
    ];
    for (name, said, to) in links {
        let Some(link) = said else { continue };
        let is_web = link.get_ref().starts_with("https://") || link.get_ref().starts_with("http://127.0.0.1");
        if !is_web || !link.get_ref().contains("{token}") || link.get_ref().contains(char::is_whitespace) {
            let message = format!(
                "login.{name}_link is an https address with `{{token}}` in it, as in https://app.example.com/{name}?token={{token}}"
            );
            check.say(&link.span(), message);
        }
        *to = Some(link.get_ref().clone());
    }
    login.person_lockout = said.lockout.person.unwrap_or(login.person_lockout);
    login.ip_lockout = said.lockout.ip.unwrap_or(login.ip_lockout);
    login
}

/// How tokens are signed, and how long those live that were had for a key.
pub(super) fn tokens(raw: &RawPolicy, check: &mut Check<'_>) -> (Algorithm, Span) {
    let said = raw.tokens.algorithm.as_ref();
    let algorithm = said.and_then(|said| check.take(said, said.get_ref().parse())).unwrap_or_default();
    let Some(span) = &raw.tokens.exchanged else { return (algorithm, EXCHANGED) };
    if !(1_000..=EXCHANGED.millis()).contains(&span.get_ref().millis()) {
        check.say(&span.span(), format!("tokens.exchanged is from 1s to {EXCHANGED}"));
    }
    (algorithm, *span.get_ref())
}
