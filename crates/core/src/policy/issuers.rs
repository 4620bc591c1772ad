//! `[issuer.NAME]`: identity providers whose access tokens are taken, each checked whole.

use jsonwebtoken::Algorithm;
use toml::Spanned;

use super::compile::{Check, MAX_NAME, check_word};
use super::raw::{Names, RawIssuer, RawPolicy};
use crate::external::{self, ALGORITHMS, Issuer, check_url};

const MAX_ISSUERS: usize = 16;
/// The most a list of an issuer's can have.
const MAX_LISTED: usize = 16;
/// What is allowed where the policy does not say: what providers sign with, and nothing with SHA-1 or a secret in it.
const USUAL_ALGORITHMS: [Algorithm; 4] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA, Algorithm::PS256];
/// The type of access tokens (RFC 9068, 2.1).
const USUAL_TYPE: &str = "at+jwt";

pub(super) fn issuers(raw: &RawPolicy, check: &mut Check<'_>) -> Vec<Issuer> {
    let mut issuers: Vec<Issuer> = Vec::with_capacity(raw.issuer.len());
    for (name, raw) in &raw.issuer {
        check.take(name, check_word(name.get_ref()));
        let issuer = issuer(name, raw, check);
        if let Some(other) = issuers.iter().find(|other| other.url == issuer.url) {
            check.say(&raw.url.span(), format!("is the url of issuer.{} already: leave one of them out", other.name));
        }
        issuers.push(issuer);
    }
    if let Some((name, _)) = raw.issuer.iter().nth(MAX_ISSUERS) {
        check.say(&name.span(), format!("there are more than {MAX_ISSUERS} issuers: leave some out"));
    }
    issuers
}

fn issuer(name: &Spanned<String>, raw: &RawIssuer, check: &mut Check<'_>) -> Issuer {
    let reason = |reason: String| format!("url {reason}");
    check.take(&raw.url, check_url(raw.url.get_ref()).map_err(reason));
    Issuer {
        name: name.get_ref().clone(),
        url: raw.url.get_ref().clone(),
        audience: audience(name, raw, check),
        algorithms: raw.algorithms.as_ref().map_or(USUAL_ALGORITHMS.into(), |names| algorithms(names, check)),
        types: raw.types.as_ref().map_or(vec![USUAL_TYPE.into()], |names| types(names, check)),
        account_claim: raw.account_claim.as_ref().map(|path| steps(path, check)).unwrap_or_default(),
        provisioning: raw.provisioning,
        role: raw.role,
    }
}

fn audience(name: &Spanned<String>, raw: &RawIssuer, check: &mut Check<'_>) -> Vec<String> {
    let all = raw.audience.as_ref();
    match all.map(|all| (all, all.get_ref().len())) {
        Some((_, 1..=MAX_LISTED)) => {}
        Some((all, 0)) => check.say(&all.span(), "audience is empty: name what tokens for this server say in `aud`"),
        Some((all, _)) => check.say(&all.span(), format!("audience has more than {MAX_LISTED} names")),
        None => check.say(
            &name.span(),
            "audience is required, or every token of the issuer would be taken: add audience = [\"keywright\"], and have \
             the provider put it into `aud`",
        ),
    }
    let all: Vec<String> = all.map(|all| all.get_ref().clone()).unwrap_or_default();
    if all.iter().any(String::is_empty) {
        check.say(&name.span(), "audience has an empty name: name what tokens for this server say in `aud`");
    }
    all
}

fn algorithms(names: &Spanned<Names>, check: &mut Check<'_>) -> Vec<Algorithm> {
    if names.get_ref().is_empty() {
        check.say(&names.span(), "algorithms is empty: leave it out, or allow one, as in [\"RS256\"]");
    }
    let known = |name: &Spanned<String>| {
        let text = name.get_ref().as_str();
        let refused = match text {
            "none" | "None" | "NONE" => "`none` is no signature: anybody could write such a token".to_owned(),
            "HS256" | "HS384" | "HS512" => format!(
                "`{text}` is signed with a shared secret, so that whoever checks a token could also make one: have the \
                 provider sign with RS256, ES256 or EdDSA"
            ),
            _ => {
                let all: Vec<&str> = ALGORITHMS.iter().map(|(name, _)| *name).collect();
                format!("`{}` is no algorithm known here: use {}", crate::clip(text), all.join(", "))
            }
        };
        external::algorithm(text).ok_or(refused)
    };
    names.get_ref().iter().filter_map(|name| check.take(name, known(name))).collect()
}

fn types(names: &Spanned<Names>, check: &mut Check<'_>) -> Vec<String> {
    if !(1..=MAX_LISTED).contains(&names.get_ref().len()) {
        check.say(&names.span(), "types has 1 to 16 names: leave it out, or say what `typ` access tokens have");
    }
    for name in names.get_ref() {
        let text = name.get_ref().to_ascii_lowercase();
        if ["id", "id+jwt", "id_token", "logout+jwt", "refresh", "offline"].contains(&text.as_str()) {
            check.say(&name.span(), format!("`{}` is no type of access tokens: take it out", name.get_ref()));
        } else if !(1..=MAX_NAME).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            check.say(&name.span(), format!("`{}` is no type: write it as in at+jwt", crate::clip(&text)));
        }
    }
    names.get_ref().iter().map(|name| name.get_ref().clone()).collect()
}

fn steps(path: &Spanned<String>, check: &mut Check<'_>) -> Vec<String> {
    let steps: Vec<String> = path.get_ref().split('.').map(ToOwned::to_owned).collect();
    if steps.iter().any(String::is_empty) || steps.len() > 8 {
        check.say(&path.span(), "account_claim is a claim's name, or names with dots between them: org_id, realm.org");
    }
    steps
}
