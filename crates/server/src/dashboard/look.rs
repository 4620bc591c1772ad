//! How things are shown: times, masked keys, errors beside their fields, a key's use as a picture.

use std::collections::BTreeMap;

use keywright_app::error::Error;
use keywright_core::key::{Key, Status};
use keywright_core::policy::Policy;
use keywright_core::time::Time;
use keywright_store::usage::UsageRow;

/// A moment: how long ago or ahead, and when exactly.
pub(super) struct Moment {
    pub(super) said: String,
    pub(super) exact: String,
}

impl Moment {
    pub(super) fn new(at: Time, now: Time) -> Self {
        let away = now.millis() - at.millis();
        let is_past = away >= 0;
        // What is to come is told from when it was said: 90 days are 90 on the page that follows.
        let minutes = if is_past { away / 60_000 } else { (59_999 - away) / 60_000 };
        let (count, unit) = match minutes {
            0 => return Self { said: "just now".into(), exact: at.to_string() },
            1..60 => (minutes, "minute"),
            60..1_440 => (minutes / 60, "hour"),
            1_440..525_600 => (minutes / 1_440, "day"),
            _ => (minutes / 525_600, "year"),
        };
        let counted = format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
        let said = if is_past { format!("{counted} ago") } else { format!("in {counted}") };
        Self { said, exact: at.to_string() }
    }
}

/// The first letter large, and a full stop.
pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    let stop = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{stop}", chars.as_str())
}

/// What is wrong with a form: beside each field what is wrong with it, and the rest above.
#[derive(Default)]
pub(super) struct Mistakes {
    fields: BTreeMap<String, String>,
    pub(super) general: String,
}

impl Mistakes {
    /// `known` are the fields the form has.
    pub(super) fn new(error: &Error, known: &[&str]) -> Self {
        let mut mistakes = Self::default();
        let Error::Invalid(errors) = error else {
            mistakes.general = sentence(&error.to_string());
            return mistakes;
        };
        for wrong in errors {
            let field = wrong.field.split(['[', '.']).next().unwrap_or_default();
            if known.contains(&field) {
                mistakes.add(field, &wrong.reason);
            } else {
                mistakes.general = sentence(&format!("{}: {}", wrong.field, wrong.reason));
            }
        }
        mistakes
    }

    /// One mistake.
    pub(super) fn beside(field: &str, reason: &str) -> Self {
        let mut mistakes = Self::default();
        mistakes.add(field, reason);
        mistakes
    }

    pub(super) fn add(&mut self, field: &str, reason: &str) {
        // A reason goes on from the field's name, or begins with what was typed.
        let said = if reason.starts_with('`') { reason.to_owned() } else { format!("this {reason}") };
        self.put(field, sentence(&said));
    }

    /// One that is told in a sentence of its own.
    pub(super) fn put(&mut self, field: &str, said: String) {
        self.fields.insert(field.into(), said);
    }

    pub(super) fn of(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }

    pub(super) fn are_none(&self) -> bool {
        self.fields.is_empty() && self.general.is_empty()
    }
}

/// What a list shows of a description, in characters, and of addresses.
const LONGEST_ABOUT: usize = 120;
const SOME: usize = 3;

/// A key as lists and pages show it.
pub(super) struct KeyLook {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) masked: String,
    pub(super) kind: String,
    pub(super) environment: String,
    pub(super) status: &'static str,
    pub(super) services: Vec<String>,
    pub(super) permissions: Vec<String>,
    pub(super) role: String,
    pub(super) addresses: Vec<String>,
    pub(super) created: Moment,
    pub(super) last_used: Option<Moment>,
    pub(super) last_ip: String,
    pub(super) last_agent: String,
    pub(super) expires: Option<Moment>,
    pub(super) is_due: bool,
    pub(super) credits: Option<i64>,
    pub(super) limits: Vec<String>,
}

impl KeyLook {
    pub(super) fn new(key: Key, policy: &Policy, now: Time) -> Self {
        let due = policy.kind(&key.kind).and_then(|(_, kind)| kind.rotation_due);
        let last = key.last_use.clone();
        let (last_ip, last_agent) =
            last.as_ref().map(|used| (used.ip.clone(), used.user_agent.clone())).unwrap_or_default();
        Self {
            id: key.id.to_string(),
            status: key.status(now).name(),
            is_due: key.rotation_due(due, now) && key.status(now) == Status::Active,
            masked: format!("{}…{}", key.prefix, key.last_four),
            addresses: key.ip_allowlist.entries().map(|entry| entry.to_string()).collect(),
            created: Moment::new(key.created_at, now),
            last_used: last.map(|used| Moment::new(used.at, now)),
            last_ip: last_ip.unwrap_or_default(),
            last_agent: last_agent.unwrap_or_default(),
            expires: key.expires_at.map(|at| Moment::new(at, now)),
            credits: key.credits,
            limits: key
                .ratelimits
                .iter()
                .map(|limit| format!("{}: {} in {}", limit.name, limit.limit, limit.window))
                .collect(),
            environment: key.environment.unwrap_or_default(),
            role: key.role.unwrap_or_default(),
            name: key.name,
            description: key.description,
            kind: key.kind,
            services: key.services,
            permissions: key.permissions,
        }
    }

    /// As much of the description as a list has room for.
    pub(super) fn about(&self) -> String {
        match self.description.char_indices().nth(LONGEST_ABOUT) {
            Some((end, _)) => format!("{}…", self.description.get(..end).unwrap_or_default().trim_end()),
            None => self.description.clone(),
        }
    }

    /// The first addresses, and how many there are beside.
    pub(super) fn some_addresses(&self) -> String {
        let shown = self.addresses.iter().take(SOME).cloned().collect::<Vec<_>>().join(", ");
        match self.addresses.len().saturating_sub(SOME) {
            0 => shown,
            more => format!("{shown} and {more} more"),
        }
    }

    /// What people call it; its id where they call it nothing.
    pub(super) fn title(&self) -> &str {
        if self.name.is_empty() { &self.id } else { &self.name }
    }
}

/// How often a key was verified in each of the last hours.
pub(super) struct Chart {
    pub(super) bars: Vec<Bar>,
    pub(super) total: i64,
    pub(super) denied: i64,
}

/// An hour: where it stands in the picture, how high its parts are, and what it says.
pub(super) struct Bar {
    pub(super) x: i64,
    pub(super) y: i64,
    pub(super) height: i64,
    pub(super) denied_y: i64,
    pub(super) denied_height: i64,
    pub(super) says: String,
}

const HOURS: i64 = 24;
const HEIGHT: i64 = 64;
/// The picture in a list's row.
const SPARK: i64 = 16;

/// Verifications of each of the last hours, all and refused ones, from rows of hour, outcome and count.
fn hours<'r>(rows: impl Iterator<Item = (i64, &'r str, i64)>, now: Time) -> BTreeMap<i64, (i64, i64)> {
    let mut hours: BTreeMap<i64, (i64, i64)> =
        (now.hour() - HOURS + 1..=now.hour()).map(|hour| (hour, (0, 0))).collect();
    for (hour, outcome, count) in rows {
        let Some((all, denied)) = hours.get_mut(&hour) else { continue };
        *all += count;
        *denied += if outcome == "VALID" { 0 } else { count };
    }
    hours
}

/// How high each hour stands, so that the busiest is as high as the picture; what is there is seen.
fn high(count: i64, most: i64, height: i64) -> i64 {
    if count == 0 { 0 } else { (count * height / most.max(1)).max(2) }
}

impl Chart {
    pub(super) fn new(rows: &[UsageRow], now: Time) -> Self {
        // What is counted under a tag is counted without it, too.
        let plain = rows.iter().filter(|row| row.tag.is_empty());
        let hours = hours(plain.map(|row| (row.hour, row.outcome.as_str(), row.count)), now);
        let first = now.hour() - HOURS + 1;
        let most = hours.values().map(|(all, _)| *all).max().unwrap_or_default();
        let bar = |(hour, (all, denied)): (&i64, &(i64, i64))| {
            let (height, denied_height) = (high(*all, most, HEIGHT), high(*denied, most, HEIGHT));
            let at = Time::from_millis(hour * 3_600_000).to_string();
            let said = at.get(..16).unwrap_or_default().replace('T', " ");
            Bar {
                x: (hour - first) * 12,
                y: HEIGHT - height,
                height,
                denied_y: HEIGHT - denied_height,
                denied_height,
                says: format!("{said} UTC: {all} checked, {denied} refused"),
            }
        };
        let (total, denied) = hours.values().fold((0, 0), |(total, sum), (all, denied)| (total + all, sum + denied));
        Self { bars: hours.iter().map(bar).collect(), total, denied }
    }
}

/// The same in a row of a list: what was checked in the last day, and a line for each hour something was.
pub(super) struct Spark {
    pub(super) total: i64,
    pub(super) denied: i64,
    /// A path of SVG, 24 steps of three wide and 16 high.
    pub(super) path: String,
}

impl Spark {
    pub(super) fn new<'r>(rows: impl Iterator<Item = (i64, &'r str, i64)>, now: Time) -> Self {
        let hours = hours(rows, now);
        let most = hours.values().map(|(all, _)| *all).max().unwrap_or_default();
        let (mut path, mut total, mut denied) = (String::new(), 0, 0);
        for ((all, refused), place) in hours.values().zip(0..) {
            (total, denied) = (total + all, denied + refused);
            if *all > 0 {
                path.push_str(&format!("M{} {SPARK}v-{}", place * 3 + 1, high(*all, most, SPARK)));
            }
        }
        Self { total, denied, path }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_said_in_the_largest_unit_that_fits() {
        let now = Time::from_millis(1_795_000_000_000);
        for (seconds, said) in [
            (0, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (7_200, "2 hours ago"),
            (86_400 * 3, "3 days ago"),
            (-120, "in 2 minutes"),
            (-1, "in 1 minute"),
            (-86_400 * 90, "in 90 days"),
            (1 - 86_400 * 90, "in 90 days"),
            (3_600 - 86_400 * 90, "in 89 days"),
        ] {
            assert_eq!(Moment::new(Time::from_millis(now.millis() - seconds * 1_000), now).said, said);
        }
    }

    #[test]
    fn a_days_hours_are_drawn_and_what_is_older_is_not() {
        let now = Time::from_millis(1_795_000_000_000);
        let rows = [(now.hour(), "VALID", 30), (now.hour(), "EXPIRED", 10), (now.hour() - 23, "VALID", 1)];
        let spark = Spark::new(rows.into_iter().chain([(now.hour() - 24, "VALID", 9_000)]), now);
        assert_eq!((spark.total, spark.denied, spark.path.as_str()), (41, 10, "M1 16v-2M70 16v-16"));
        let none = Spark::new([].into_iter(), now);
        assert_eq!((none.total, none.path.as_str()), (0, ""));
    }

    #[test]
    fn a_mistake_stands_beside_its_field_or_above() {
        let mistakes = Mistakes::new(&Error::invalid("ip_allowlist", "`x` is no address"), &["ip_allowlist"]);
        assert_eq!((mistakes.of("ip_allowlist"), mistakes.of("name")), ("`x` is no address.", ""));
        let mistakes = Mistakes::new(&Error::Conflict("the account is full".into()), &["name"]);
        assert_eq!(mistakes.general, "The account is full.");
    }
}
