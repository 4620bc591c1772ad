//! From the policy's text to a sound [`Policy`]: every name resolved, every mistake told with its line.

use std::collections::{BTreeMap, BTreeSet};

use rand::SeedableRng;
use rand::rngs::StdRng;
use toml::Spanned;

use super::raw::{Names, RawKind, RawLockout, RawPolicy};
use super::{DEFAULT_KIND, HeaderRule, Kind, MANAGEMENT, OPERATOR_KIND, Policy, PolicyError};
use crate::account::Requirement;
use crate::format::Format;
use crate::limit::{self, RateLimit};
use crate::lockout::Rule;
use crate::member::MemberRole;
use crate::permission::{Catalog, check_name, check_pattern};
use crate::time::{Span, Time};

const MAX_KINDS: usize = 64;
pub(super) const MAX_NAME: usize = 40;
/// How long an old secret works after a rotation where neither request nor kind says.
const GRACE: Span = Span::days(1);

/// Gathers mistakes, so that all are told at once.
pub(super) struct Check<'a> {
    text: &'a str,
    errors: Vec<PolicyError>,
}

impl Check<'_> {
    pub(super) fn say(&mut self, at: &std::ops::Range<usize>, message: impl Into<String>) {
        self.errors.push(PolicyError { line: self.line(at), message: message.into() });
    }

    /// The line something is on, from 1.
    pub(super) fn line(&self, at: &std::ops::Range<usize>) -> usize {
        self.text.get(..at.start).unwrap_or_default().matches('\n').count() + 1
    }

    pub(super) fn take<T, V>(&mut self, at: &Spanned<V>, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.say(&at.span(), message)).ok()
    }
}

pub(super) fn compile(text: &str) -> Result<Policy, Vec<PolicyError>> {
    let mut check = Check { text, errors: Vec::new() };
    let raw: RawPolicy = match toml::from_str(text) {
        Ok(raw) => raw,
        Err(error) => {
            let message = error.message().replace('\n', " ");
            check.say(&error.span().unwrap_or(0..0), message);
            return Err(check.errors);
        }
    };
    let catalog = catalog(&raw, &mut check);
    let services = services(&raw, &catalog, &mut check);
    let aliases = aliases(&raw, &mut check);
    let roles = roles(&raw, &catalog, &mut check);
    let members = members(&raw, &catalog, &mut check);
    let brand = super::login::brand(&raw, &mut check);
    let login = super::login::login(&raw, &mut check);
    let (algorithm, exchanged) = super::login::tokens(&raw, &mut check);
    let issuers = super::issuers::issuers(&raw, &mut check);
    let mut policy = Policy {
        verifying: catalog.all([Policy::VERIFYING]),
        catalog,
        brand,
        login,
        algorithm,
        exchanged,
        tells_of_ends: raw.letters.ending_keys.unwrap_or(true),
        kinds: vec![operator_kind()],
        environments: Vec::new(),
        services,
        aliases,
        roles,
        members,
        issuers,
        routes: Vec::new(),
        forward_auth: super::forward_auth::forward_auth(&raw, &mut check),
        by_first_byte: Vec::new(),
        open: None,
    };
    for (name, raw_kind) in &raw.kind {
        if let Some(kind) = kind(name, raw_kind, &policy, &mut check) {
            policy.kinds.push(kind);
        }
    }
    policy.environments =
        policy.kinds.iter().flat_map(|kind| kind.environments.clone()).collect::<BTreeSet<_>>().into_iter().collect();
    check_together(&raw, &policy, &mut check);
    count_together(&raw, &mut policy, &mut check);
    policy.routes = super::routes::routes(&raw, &policy, &mut check);
    index(&mut policy);
    if check.errors.is_empty() {
        return Ok(policy);
    }
    check.errors.sort_by_key(|error| error.line);
    Err(check.errors)
}

fn catalog(raw: &RawPolicy, check: &mut Check<'_>) -> Catalog {
    let mut declared: Vec<(&str, Vec<&str>)> = MANAGEMENT.iter().map(|(name, _)| (*name, Vec::new())).collect();
    for (name, permission) in &raw.permission {
        check.take(name, check_name(name.get_ref()));
        for implied in &permission.implies {
            let known =
                raw.permission.contains_key(implied) || MANAGEMENT.iter().any(|(name, _)| name == implied.get_ref());
            if !known {
                let implied_name = implied.get_ref();
                check.say(
                    &implied.span(),
                    format!("`{implied_name}` is implied but not declared: add [permission.\"{implied_name}\"]"),
                );
            }
        }
        declared.push((name.get_ref(), permission.implies.iter().map(|implied| implied.get_ref().as_str()).collect()));
    }
    let before_built_ins = check.errors.is_empty();
    Catalog::new(&declared).unwrap_or_else(|message| {
        if before_built_ins {
            check.say(&(0..0), message);
        }
        Catalog::default()
    })
}

/// Checks that patterns are well-formed and reach something the policy declares.
fn patterns(names: &Names, catalog: &Catalog, check: &mut Check<'_>) -> Vec<String> {
    for name in names {
        let text = name.get_ref();
        let reached = check_pattern(text).and_then(|()| {
            let unknown = || format!("`{text}` is not declared: add [permission.\"{text}\"], or use one that is there");
            if catalog.reaches(text) { Ok(()) } else { Err(unknown()) }
        });
        // An unsound catalogue has been told of already.
        if !catalog.names().is_empty() {
            check.take(name, reached);
        }
    }
    names.iter().map(|name| name.get_ref().clone()).collect()
}

fn services(raw: &RawPolicy, catalog: &Catalog, check: &mut Check<'_>) -> BTreeMap<String, Vec<String>> {
    let mut services = BTreeMap::new();
    for (name, service) in &raw.service {
        check.take(name, check_word(name.get_ref()));
        services.insert(name.get_ref().clone(), patterns(&service.permissions, catalog, check));
    }
    services
}

fn aliases(raw: &RawPolicy, check: &mut Check<'_>) -> BTreeMap<String, String> {
    let mut aliases = BTreeMap::new();
    for (name, service) in &raw.service {
        for alias in &service.aliases {
            check.take(alias, check_word(alias.get_ref()));
            let taken = raw.service.contains_key(alias) || aliases.contains_key(alias.get_ref());
            if taken {
                check.say(&alias.span(), format!("`{}` already names a service", alias.get_ref()));
            }
            aliases.insert(alias.get_ref().clone(), name.get_ref().clone());
        }
    }
    aliases
}

/// What each member role is permitted: what the policy says, or what is usual.
fn members(raw: &RawPolicy, catalog: &Catalog, check: &mut Check<'_>) -> BTreeMap<MemberRole, Vec<String>> {
    let usual = |role: MemberRole| role.usual_permissions().iter().map(|name| (*name).to_owned()).collect();
    let mut members: BTreeMap<_, _> = MemberRole::ALL.into_iter().map(|role| (role, usual(role))).collect();
    for (role, said) in &raw.member {
        members.insert(*role.get_ref(), patterns(&said.permissions, catalog, check));
    }
    members
}

fn roles(raw: &RawPolicy, catalog: &Catalog, check: &mut Check<'_>) -> BTreeMap<String, Vec<String>> {
    let mut roles = BTreeMap::new();
    for (name, role) in &raw.role {
        check.take(name, check_word(name.get_ref()));
        roles.insert(name.get_ref().clone(), patterns(&role.permissions, catalog, check));
    }
    roles
}

fn kind(name: &Spanned<String>, raw: &RawKind, policy: &Policy, check: &mut Check<'_>) -> Option<Kind> {
    check.take(name, check_word(name.get_ref()));
    if name.get_ref() == OPERATOR_KIND {
        check.say(&name.span(), format!("`{OPERATOR_KIND}` is built in: choose another name"));
    }
    let environments = words(&raw.environments, check);
    let services = known(&raw.services, "service", |name| policy.services.contains_key(name), check);
    let roles = known(&raw.roles, "role", |name| policy.roles.contains_key(name), check);
    let permissions = patterns(&raw.permissions, &policy.catalog, check);
    let service_permissions =
        raw.service_permissions.as_ref().map(|names| service_templates(names, &services, policy, check));
    let format = compile_format(raw, &environments, &services, check)?;
    if let Some(limits) = &raw.ratelimits {
        check.take(limits, limit::check(limits.get_ref()));
    }
    if let Some(credits) = raw.credits.as_ref().filter(|credits| *credits.get_ref() < 0) {
        check.say(&credits.span(), "credits is 0 or more");
    }
    if let Some(refill) = &raw.refill {
        check.take(refill, crate::draft::check_refill(refill.get_ref(), raw.credits.is_some()));
    }
    let requires = requirements(&raw.limit.requires, check);
    let made_per_person = raw.limit.made_per_person.as_ref().map(|rate| {
        check.take(rate, limit::check(&[rate.get_ref().named("made_per_person")]));
        *rate.get_ref()
    });
    let issue_per_ip = issue(raw, &format, check);
    let lockout = raw.lockout.unwrap_or_else(|| RawLockout { key: None, ip: usual_lockout() });
    Some(Kind {
        name: name.get_ref().clone(),
        about: raw.about.clone(),
        format,
        environments,
        services,
        roles,
        permissions,
        open_permissions: raw.open_permissions,
        personal: raw.personal,
        service_permissions,
        header: raw.header,
        grace: raw.rotation.grace.unwrap_or(GRACE),
        rotation_due: raw.rotation.due,
        expires_in: raw.expiry.default,
        longest_life: raw.expiry.longest,
        live_keys_per_account: raw.limit.live_keys_per_account.as_ref().map(|most| *most.get_ref()),
        counted_kinds: vec![name.get_ref().clone()],
        made_per_person,
        requires,
        key_lockout: lockout.key,
        ip_lockout: lockout.ip,
        ratelimits: raw.ratelimits.as_ref().map(|limits| limits.get_ref().clone()).unwrap_or_default(),
        credits: raw.credits.as_ref().map(|credits| *credits.get_ref()),
        refill: raw.refill.as_ref().map(|refill| *refill.get_ref()),
        issue_per_ip,
    })
}

/// What a kind must be for anybody to have its keys: they end by themselves, and nothing has to be known of whose they are.
fn issue(raw: &RawKind, format: &Format, check: &mut Check<'_>) -> Option<RateLimit> {
    let per_ip = &raw.issue.as_ref()?.per_ip;
    let limit = per_ip.get_ref().named("per_ip");
    check.take(per_ip, limit::check(std::slice::from_ref(&limit)));
    let mut must = |holds: bool, message: &str| {
        if !holds {
            check.say(&per_ip.span(), message);
        }
    };
    must(
        raw.expiry.default.is_some() && raw.expiry.longest.is_some(),
        "keys anybody can have must end by themselves: add expiry = { default = \"30m\", longest = \"30m\" }",
    );
    must(!format.is_open(), "keys of this format are imported, never issued: leave issue out");
    must(!format.names_service(), "keys anybody can have are of no service: take {service} out of the format");
    must(raw.limit.requires.is_empty(), "keys anybody can have belong to no customer: take limit.requires out");
    Some(limit)
}

fn requirements(names: &Names, check: &mut Check<'_>) -> Vec<Requirement> {
    let unknown = |name: &str| {
        let known: Vec<&str> = Requirement::ALL.iter().map(|known| known.name()).collect();
        format!("`{}` is nothing an account can be asked for: use {}", crate::clip(name), known.join(", "))
    };
    let found = names.iter().filter_map(|name| {
        check.take(name, Requirement::from_name(name.get_ref()).ok_or_else(|| unknown(name.get_ref())))
    });
    let mut requires: Vec<Requirement> = found.collect();
    requires.sort_unstable();
    requires.dedup();
    requires
}

/// A kind that is counted as something.
struct Counted<'a> {
    kind: &'a str,
    word: &'a Spanned<String>,
    most: Option<u32>,
}

/// Kinds that are counted as the same thing share one count and one limit.
fn count_together(raw: &RawPolicy, policy: &mut Policy, check: &mut Check<'_>) {
    let mut counts: BTreeMap<&str, Vec<Counted<'_>>> = BTreeMap::new();
    for (name, kind) in &raw.kind {
        let Some(word) = &kind.limit.counted_as else { continue };
        check.take(word, check_word(word.get_ref()));
        let most = kind.limit.live_keys_per_account.as_ref().map(|most| *most.get_ref());
        if most.is_none() {
            check.say(&word.span(), "counted_as needs a limit to count towards: add live_keys_per_account");
        }
        counts.entry(word.get_ref()).or_default().push(Counted { kind: name.get_ref(), word, most });
    }
    for (word, members) in counts {
        let Some((first, rest)) = members.split_first() else { continue };
        if rest.is_empty() {
            let message = format!("no other kind is counted as `{word}`: give another the same word, or leave it out");
            check.say(&first.word.span(), message);
        }
        for other in rest.iter().filter(|other| other.most != first.most) {
            let (kind, first) = (other.kind, first.kind);
            let message =
                format!("`{kind}` and `{first}` are counted together: give both the same live_keys_per_account");
            check.say(&other.word.span(), message);
        }
        let names: Vec<String> = members.iter().map(|member| member.kind.to_owned()).collect();
        for kind in policy.kinds.iter_mut().filter(|kind| names.contains(&kind.name)) {
            kind.counted_kinds.clone_from(&names);
        }
    }
}

fn compile_format(
    raw: &RawKind,
    environments: &[String],
    services: &[String],
    check: &mut Check<'_>,
) -> Option<Format> {
    let environments: Vec<&str> = environments.iter().map(String::as_str).collect();
    let services: Vec<&str> = services.iter().map(String::as_str).collect();
    let shown = raw.shown.as_ref().map(|shown| *shown.get_ref());
    let format = check.take(&raw.format, Format::compile(raw.format.get_ref(), &environments, &services, shown))?;
    if format.literal_prefix().is_empty() && !format.is_open() {
        check.say(
            &raw.format.span(),
            "a format begins with letters of its own, as in kw_{secret:26}, so that leaked keys can be found",
        );
    }
    if environments.len() > 1 && !format.names_environment() && !format.is_open() {
        check.say(&raw.format.span(), "a kind with several environments has {environment} in its format, so that live and test keys can be told apart");
    }
    if let Some(shown) = raw.shown.as_ref()
        && *shown.get_ref() > format.longest_shown()
    {
        check.say(
            &shown.span(),
            format!("shown is at most {}, or 64 random bits of the secret would be shown", format.longest_shown()),
        );
    }
    Some(format)
}

fn service_templates(names: &Names, services: &[String], policy: &Policy, check: &mut Check<'_>) -> Vec<String> {
    for name in names {
        for service in services {
            let permission = name.get_ref().replace("{service}", service);
            if !policy.catalog.reaches(&permission) {
                check.say(
                    &name.span(),
                    format!("gives `{permission}`, which is not declared: add [permission.\"{permission}\"]"),
                );
            }
        }
    }
    names.iter().map(|name| name.get_ref().clone()).collect()
}

/// Checks what no kind can see alone: that there is a default, and that no key could be of two kinds.
fn check_together(raw: &RawPolicy, policy: &Policy, check: &mut Check<'_>) {
    if policy.kind(DEFAULT_KIND).is_none() && check.errors.is_empty() {
        check.say(&(0..0), "there is no [kind.default]: add one, it is meant where a request names no kind");
    }
    if policy.kinds.len() > MAX_KINDS {
        check.say(&(0..0), format!("has {} kinds: at most {MAX_KINDS}", policy.kinds.len()));
    }
    let open: Vec<_> = raw.kind.iter().filter(|(_, kind)| kind.format.get_ref().contains("{token:")).collect();
    for (name, kind) in open.iter().skip(1) {
        let message = format!("`{}` is a second kind with a {{token}}: there can be one", name.get_ref());
        check.say(&kind.format.span(), message);
    }
    for (name, kind) in &raw.kind {
        let Some((_, mine)) = policy.kind(name.get_ref()) else { continue };
        let clash = policy.kinds.iter().find(|other| other.name != mine.name && overlap(mine, other));
        if let Some(other) = clash.filter(|_| !mine.format.is_open()) {
            let message = format!(
                "a key of this format could also be a `{}` key: make their beginnings or lengths differ",
                other.name
            );
            check.say(&kind.format.span(), message);
        }
    }
}

/// Whether a key made by one kind reads as one of the other, tried for every spelling of its environment and service.
fn overlap(mine: &Kind, other: &Kind) -> bool {
    if other.format.is_open() {
        return false;
    }
    let mut rng = StdRng::seed_from_u64(0);
    let several = [crate::format::SEVERAL_SERVICES.to_owned()];
    let environments = mine.environments.iter().map(Some).chain(mine.environments.is_empty().then_some(None));
    environments.into_iter().any(|environment| {
        let services = mine.services.iter().chain(&several);
        services.into_iter().any(|service| {
            let issued =
                mine.format.issue(environment.map(String::as_str), Some(service), Time::from_millis(0), &mut rng);
            other.format.read(issued.key.reveal().as_bytes()).is_some()
        })
    })
}

fn index(policy: &mut Policy) {
    let of = |byte: u8| {
        let begins =
            |kind: &Kind| !kind.format.is_open() && kind.format.literal_prefix().as_bytes().first() == Some(&byte);
        (0..).zip(&policy.kinds).filter(|(_, kind)| begins(kind)).map(|(number, _)| number).collect()
    };
    policy.by_first_byte = (0..=u8::MAX).map(of).collect();
    policy.open = (0..).zip(&policy.kinds).find(|(_, kind)| kind.format.is_open()).map(|(number, _)| number);
}

fn words(names: &Names, check: &mut Check<'_>) -> Vec<String> {
    known(names, "environment", |_| true, check)
}

fn known(names: &Names, what: &str, exists: impl Fn(&str) -> bool, check: &mut Check<'_>) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for name in names {
        let text = name.get_ref();
        check.take(name, check_word(text));
        if !exists(text) {
            check.say(&name.span(), format!("there is no {what} `{text}`: add [{what}.{text}]"));
        }
        if seen.contains(text) {
            check.say(&name.span(), format!("`{text}` is there twice"));
        }
        seen.push(text.clone());
    }
    seen
}

pub(super) fn check_word(text: &str) -> Result<(), String> {
    let spelled =
        text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'));
    if spelled && (1..=MAX_NAME).contains(&text.len()) {
        Ok(())
    } else {
        Err(format!("`{}` is not a name: 1 to {MAX_NAME} lowercase letters, digits, `-` or `_`", crate::clip(text)))
    }
}

/// When guessing from one address locks it, where the kind does not say. No guess at 128 random bits succeeds; this keeps
/// the guessing from costing much, and a customer whose one client is misconfigured from being locked out for long.
fn usual_lockout() -> Option<Rule> {
    Some(Rule { failures: 100, within: Span::minutes(1), lasts: Span::minutes(1) })
}

/// The kind of the operators' own keys: always there, whatever the policy says.
fn operator_kind() -> Kind {
    // The template is a constant and compiles; its tests say so.
    let format =
        Format::compile("kw_operator_{id:12}_{secret:26}{checksum}", &[], &[], None).unwrap_or_else(|_| Format::none());
    Kind {
        name: OPERATOR_KIND.into(),
        about: "Keys of those who run this server.".into(),
        format,
        environments: Vec::new(),
        services: Vec::new(),
        roles: Vec::new(),
        permissions: vec!["*".into()],
        open_permissions: false,
        personal: false,
        service_permissions: None,
        header: HeaderRule::Bearer,
        grace: GRACE,
        rotation_due: Some(Span::days(90)),
        expires_in: None,
        longest_life: None,
        live_keys_per_account: Some(1_000),
        counted_kinds: vec![OPERATOR_KIND.into()],
        requires: Vec::new(),
        key_lockout: None,
        ip_lockout: usual_lockout(),
        ratelimits: Vec::new(),
        credits: None,
        refill: None,
        made_per_person: None,
        issue_per_ip: None,
    }
}
