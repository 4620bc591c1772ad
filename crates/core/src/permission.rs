//! Permissions, `resource:action`, compiled to bit sets so that the hot path asks one question.
//!
//! The policy's permissions are the [`Catalog`]: each is one bit. A kind may also be open, taking permissions the
//! policy does not name; those, and the wildcards that reach them, are kept as text beside the bits. Bits and text
//! together must always agree with the plain reading of the grant's patterns (`tests::agrees_with_plain_reading`).

use foldhash::{HashMap, HashMapExt as _};

use crate::time::{Span, Time};

/// Permissions a catalogue may hold.
pub const MAX_PERMISSIONS: usize = 256;
/// The longest permission, in bytes.
pub const MAX_LENGTH: usize = 100;

/// How long a permission that nobody asks for is left alone before it is suggested away.
pub const UNUSED_AFTER: Span = Span::days(30);

/// Whether a permission has gone unused for so long that its key could do without it: it was last used on the day that began
/// at `last`, and somebody has been looking since `watched_since`.
#[must_use]
pub fn is_unused(last: Option<Time>, watched_since: Time, now: Time) -> bool {
    let long_ago = now.before(UNUSED_AFTER);
    watched_since <= long_ago && last.is_none_or(|day| day.after(Span::days(1)) <= long_ago)
}

/// Checks that `name` is a permission: two or more parts of letters, digits, `_`, `-` and `.`, with `:` between them.
///
/// # Errors
/// What is wrong and what to write instead.
pub fn check_name(name: &str) -> Result<(), String> {
    let part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
    };
    if name.len() <= MAX_LENGTH && name.contains(':') && name.split(':').all(part) {
        Ok(())
    } else {
        Err(format!("`{}` is not a permission: write it as resource:action, as in storage:read", crate::clip(name)))
    }
}

/// Checks that `pattern` can be granted: a permission, `resource:*`, or `*`.
///
/// # Errors
/// What is wrong and what to write instead.
pub fn check_pattern(pattern: &str) -> Result<(), String> {
    match pattern.strip_suffix(":*") {
        Some(resource) => check_name(&format!("{resource}:x")),
        None if pattern == "*" => Ok(()),
        None => check_name(pattern),
    }
}

/// Whether `pattern` covers `other`, itself a permission or a narrower pattern.
#[must_use]
pub fn covers(pattern: &str, other: &str) -> bool {
    pattern == "*"
        || pattern == other
        || pattern.strip_suffix('*').is_some_and(|resource| !resource.is_empty() && other.starts_with(resource))
}

/// A set of catalogued permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PermissionSet([u64; MAX_PERMISSIONS / 64]);

impl PermissionSet {
    fn insert(&mut self, bit: u8) {
        if let Some(word) = self.0.get_mut(usize::from(bit / 64)) {
            *word |= 1 << (bit % 64);
        }
    }

    fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine |= theirs;
        }
    }

    fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    fn contains_all(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).fold(0, |missing, (mine, theirs)| missing | (theirs & !mine)) == 0
    }

    fn intersects(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).fold(0, |shared, (mine, theirs)| shared | (theirs & mine)) != 0
    }
}

/// Every permission the policy names, with what each implies.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    bits: HashMap<Box<str>, u8>,
    /// By bit: the permission itself and all it implies, closed over.
    closures: Vec<PermissionSet>,
}

impl Catalog {
    /// Builds the catalogue from names and what each directly implies.
    ///
    /// # Errors
    /// Names the permission that is malformed, implied but not declared, or one too many.
    pub fn new<'a>(declared: &[(&'a str, Vec<&'a str>)]) -> Result<Self, String> {
        let mut bits = HashMap::new();
        for (name, _) in declared {
            check_name(name)?;
            let bit = u8::try_from(bits.len())
                .map_err(|_| format!("`{name}` is one permission too many: at most {MAX_PERMISSIONS}"))?;
            bits.entry(Box::from(*name)).or_insert(bit);
        }
        let mut closures = vec![PermissionSet::default(); bits.len()];
        for (name, implies) in declared {
            let Some(set) = bits.get(*name).and_then(|bit: &u8| closures.get_mut(usize::from(*bit))) else { continue };
            for implied in std::iter::once(name).chain(implies) {
                let bit = bits.get(*implied).ok_or_else(|| {
                    format!("`{name}` implies `{implied}`, which no [permission.\"{implied}\"] declares")
                })?;
                set.insert(*bit);
            }
        }
        close(&mut closures);
        Ok(Self { bits, closures })
    }

    /// Whether the policy names `permission`.
    #[must_use]
    pub fn knows(&self, permission: &str) -> bool {
        self.bits.contains_key(permission)
    }

    /// Whether `pattern` is a known permission or a wildcard that reaches at least one.
    #[must_use]
    pub fn reaches(&self, pattern: &str) -> bool {
        self.knows(pattern) || self.bits.keys().any(|name| pattern.ends_with('*') && covers(pattern, name))
    }

    /// Every permission's name, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.bits.keys().map(|name| &**name).collect();
        names.sort_unstable();
        names
    }

    /// Compiles what patterns grant.
    pub fn grant<'a>(&self, patterns: impl IntoIterator<Item = &'a str>) -> Grant {
        let mut set = PermissionSet::default();
        let mut others: Vec<Box<str>> = Vec::new();
        for pattern in patterns {
            if let Some(closure) = self.closure(pattern) {
                set.add(closure);
                continue;
            }
            others.push(pattern.into());
            if pattern.ends_with('*') {
                let reached = self.bits.keys().filter(|name| covers(pattern, name));
                reached.filter_map(|name| self.closure(name)).for_each(|closure| set.add(closure));
            }
        }
        others.sort_unstable();
        others.dedup();
        Grant { set, others: others.into() }
    }

    /// Compiles a request for all of `names`.
    pub fn all<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Need {
        let wants = self.wants(names);
        if wants.is_empty() { Need::Nothing } else { Need::All(wants) }
    }

    /// Compiles a request for at least one of `names`; of none of no names, which nobody meets.
    pub fn any<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Need {
        Need::Any(self.wants(names))
    }

    /// Which of a grant's patterns lets it do `wanted`: where several do, the narrowest. The permission itself comes before
    /// one that implies it, and that before a wildcard.
    pub fn deciding<'p>(&self, patterns: impl IntoIterator<Item = &'p str>, wanted: &str) -> Option<&'p str> {
        let need = self.all([wanted]);
        let width = |pattern: &str| match self.closure(pattern) {
            _ if pattern == wanted => (0, 0),
            Some(closure) => (1, closure.len()),
            // The longer a wildcard, the less it reaches.
            None => (2, MAX_LENGTH.saturating_sub(pattern.len())),
        };
        let deciding = patterns.into_iter().filter(|pattern| self.grant([*pattern]).meets(&need));
        deciding.min_by_key(|pattern| (width(pattern), *pattern))
    }

    fn wants<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Wants {
        let mut wants = Wants::default();
        for name in names {
            match self.bits.get(name) {
                Some(bit) => wants.set.insert(*bit),
                None => wants.others.push(name.into()),
            }
        }
        wants
    }

    fn closure(&self, name: &str) -> Option<&PermissionSet> {
        self.bits.get(name).and_then(|bit| self.closures.get(usize::from(*bit)))
    }
}

/// Adds to every set the sets of its members until nothing changes.
fn close(closures: &mut [PermissionSet]) {
    let mut changed = true;
    while changed {
        changed = false;
        for place in 0..closures.len() {
            let Some(mut set) = closures.get(place).copied() else { continue };
            let members =
                (0..closures.len()).filter(|bit| set.0.get(bit / 64).is_some_and(|w| w >> (bit % 64) & 1 == 1));
            let reached: Vec<PermissionSet> = members.filter_map(|bit| closures.get(bit).copied()).collect();
            reached.iter().for_each(|other| set.add(other));
            if let Some(slot) = closures.get_mut(place)
                && *slot != set
            {
                *slot = set;
                changed = true;
            }
        }
    }
}

/// What a credential may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Grant {
    set: PermissionSet,
    /// Patterns that are not one catalogued permission, sorted.
    others: Box<[Box<str>]>,
}

impl Grant {
    /// Whether the grant meets the need.
    #[must_use]
    #[inline]
    pub fn meets(&self, need: &Need) -> bool {
        match need {
            Need::Nothing => true,
            Need::All(wants) => {
                self.set.contains_all(&wants.set) && wants.others.iter().all(|name| self.covers_other(name))
            }
            Need::Any(wants) => {
                self.set.intersects(&wants.set) || wants.others.iter().any(|name| self.covers_other(name))
            }
        }
    }

    /// Whether `other` is no wider than this grant.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.set.contains_all(&other.set) && other.others.iter().all(|pattern| self.covers_other(pattern))
    }

    fn covers_other(&self, name: &str) -> bool {
        self.others.iter().any(|pattern| covers(pattern, name))
    }
}

/// Permissions asked for, compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    set: PermissionSet,
    others: Vec<Box<str>>,
}

impl Wants {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a request needs its credential to be allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Need {
    /// Only a working credential.
    #[default]
    Nothing,
    /// Every one of these.
    All(Wants),
    /// At least one of these.
    Any(Wants),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn catalog() -> Catalog {
        Catalog::new(&[
            ("a:read", vec![]),
            ("a:write", vec!["a:read"]),
            ("a:manage", vec!["a:write"]),
            ("b:read", vec![]),
            ("b:write", vec!["b:read"]),
            ("b:admin", vec!["b:write", "a:read"]),
        ])
        .unwrap()
    }

    /// The plain reading: follow implications from every catalogued permission a pattern covers.
    fn plainly_allows(patterns: &[&str], wanted: &str) -> bool {
        fn implies(name: &str) -> &'static [&'static str] {
            match name {
                "a:write" => &["a:read"],
                "a:manage" => &["a:write", "a:read"],
                "b:write" => &["b:read"],
                "b:admin" => &["b:write", "b:read", "a:read"],
                _ => &[],
            }
        }
        let known = ["a:read", "a:write", "a:manage", "b:read", "b:write", "b:admin"];
        patterns.iter().any(|pattern| {
            covers(pattern, wanted) || known.iter().any(|name| covers(pattern, name) && implies(name).contains(&wanted))
        })
    }

    const PATTERNS: [&str; 12] =
        ["a:read", "a:write", "a:manage", "b:read", "b:write", "b:admin", "a:*", "b:*", "*", "c:read", "c:*", "c:d:*"];
    const NAMES: [&str; 10] =
        ["a:read", "a:write", "a:manage", "b:read", "b:write", "b:admin", "c:read", "c:d:read", "cc:read", "a:other"];

    proptest! {
        #[test]
        fn agrees_with_plain_reading(
            granted in proptest::sample::subsequence(PATTERNS.to_vec(), 0..6),
            wanted in proptest::sample::subsequence(NAMES.to_vec(), 0..5),
        ) {
            let catalog = catalog();
            let grant = catalog.grant(granted.iter().copied());
            let all = wanted.iter().all(|name| plainly_allows(&granted, name));
            let any = wanted.iter().any(|name| plainly_allows(&granted, name));
            prop_assert_eq!(grant.meets(&catalog.all(wanted.iter().copied())), all);
            prop_assert_eq!(grant.meets(&catalog.any(wanted.iter().copied())), any);
        }

        #[test]
        fn one_of_the_patterns_decides_where_all_of_them_together_allow(
            granted in proptest::sample::subsequence(PATTERNS.to_vec(), 0..6),
            wanted in proptest::sample::select(NAMES.to_vec()),
        ) {
            let catalog = catalog();
            let deciding = catalog.deciding(granted.iter().copied(), wanted);
            prop_assert_eq!(deciding.is_some(), plainly_allows(&granted, wanted));
            prop_assert!(deciding.is_none_or(|one| granted.contains(&one) && plainly_allows(&[one], wanted)));
            prop_assert!(!granted.contains(&wanted) || deciding == Some(wanted));
        }

        #[test]
        fn a_contained_grant_meets_nothing_its_container_does_not(
            wide in proptest::sample::subsequence(PATTERNS.to_vec(), 0..6),
            narrow in proptest::sample::subsequence(PATTERNS.to_vec(), 0..6),
        ) {
            let catalog = catalog();
            let (wide, narrow) = (catalog.grant(wide), catalog.grant(narrow));
            let everything_met = NAMES.iter().all(|name| {
                let need = catalog.all([*name]);
                !narrow.meets(&need) || wide.meets(&need)
            });
            prop_assert!(!wide.contains(&narrow) || everything_met);
        }
    }

    #[test]
    fn the_narrowest_pattern_decides() {
        let catalog = catalog();
        let decides = |patterns: &[&'static str], wanted| catalog.deciding(patterns.iter().copied(), wanted);
        assert_eq!(decides(&["*", "a:*", "a:manage", "a:write", "a:read"], "a:read"), Some("a:read"));
        assert_eq!(decides(&["*", "a:*", "a:manage", "a:write"], "a:read"), Some("a:write"));
        assert_eq!(decides(&["*", "a:*"], "a:read"), Some("a:*"));
        assert_eq!(decides(&["c:*", "c:d:*"], "c:d:read"), Some("c:d:*"));
        assert_eq!(decides(&["*", "a:*"], "c:read"), Some("*"));
        assert_eq!(decides(&["a:write"], "a:manage"), None);
    }

    #[test]
    fn a_permission_is_unused_once_it_was_watched_for_thirty_days_and_nobody_asked_for_it() {
        let day = |number: i64| Time::from_millis(number * 86_400_000);
        let now = day(100).after(Span::minutes(300));
        assert!(is_unused(None, day(70), now) && !is_unused(None, day(71), now));
        assert!(is_unused(Some(day(69)), day(0), now), "that day was over thirty days ago");
        assert!(!is_unused(Some(day(70)), day(0), now), "its evening is less than thirty days ago");
        assert!(!is_unused(Some(day(100)), day(0), now));
        assert!(!is_unused(Some(day(50)), day(90), now), "it was not watched since");
    }

    #[test]
    fn a_wildcard_stays_within_its_resource() {
        assert!(covers("storage:*", "storage:read") && covers("org:*", "org:team:read"));
        assert!(!covers("storage:*", "storage2:read") && !covers("storage:*", "storage"));
        assert!(!covers("storage:read", "storage:readonly"));
    }

    #[test]
    fn names_and_patterns_are_checked() {
        for good in ["a:b", "org:team:read", "A-1:b_c.d"] {
            assert_eq!(check_name(good), Ok(()));
        }
        for bad in ["", "a", ":", "a:", ":b", "a:*", "a b:c", "a:b:", "ä:b", &"x:".repeat(60)] {
            assert!(check_name(bad).is_err(), "{bad} was taken");
        }
        assert!(check_pattern("*").is_ok() && check_pattern("a:*").is_ok() && check_pattern("a:b").is_ok());
        assert!(check_pattern("a*").is_err() && check_pattern("*:a").is_err() && check_pattern(":*").is_err());
    }

    #[test]
    fn an_undeclared_implication_is_refused() {
        let error = Catalog::new(&[("a:b", vec!["a:c"])]).unwrap_err();
        assert!(error.contains("`a:c`"), "{error}");
    }
}
