//! What a kind's keys look like, declared as a template: `kw_{environment}_{id:12}_{secret:26}{checksum}`.
//!
//! Reading comes before everything else, so that a malformed key costs no hash and no lookup. It never allocates and
//! never looks at anything but the key's own bytes.
//!
//! | part | stands for |
//! | --- | --- |
//! | `{environment}` `{service}` | one of the kind's environments or services; a key of several services has `multi` |
//! | `{id:N}` | N letters and digits that may be shown; of twelve or more, the first seven say when the key was issued |
//! | `{secret:N}` | N letters and digits that may not |
//! | `{hex:N}` | N lowercase hexadecimal digits, secret but for the first six |
//! | `{token:MIN..MAX}` | anything from a foreign system: letters, digits, `_`, `-`, `.`; only for imported keys |
//! | `{checksum}` | six letters and digits over all that comes before, so that a typing error is seen without a lookup |

mod checksum;
mod date;
mod tail;

use rand::distr::{Alphanumeric, Distribution};
use rand::{CryptoRng, RngExt};

use self::checksum::{CHECKSUM, checksum};
use self::date::{dated_id, spell_time};
use self::tail::Tail;
use crate::secret::{Date, PlainKey};
use crate::time::Time;

/// The longest key there may be, in bytes.
pub const MAX_KEY: usize = 256;
/// Fewest random bits a secret may have (security.md 34).
const MIN_BITS: f64 = 128.0;
/// Ways to spell a format's environments and services together: each is written down beforehand.
const MOST_WAYS: usize = 4_096;
/// Hexadecimal digits of a `{hex:N}` that may be shown.
const HEX_SHOWN: usize = 6;
/// Written where a key's service stands when it covers several.
pub const SEVERAL_SERVICES: &str = "multi";

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    Environment(Box<[Box<str>]>),
    Service(Box<[Box<str>]>),
    Id(usize),
    Secret(usize),
    Hex(usize),
    Token { min: usize, max: usize },
    Checksum,
}

/// A compiled template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    parts: Box<[Part]>,
    /// Every way a key can begin, up to the first part that varies.
    heads: Box<[Head]>,
    /// Every way a key can go on after that.
    tails: Box<[Tail]>,
    /// How much of a key may be shown, where the kind says; else all up to the secret.
    shown: Option<usize>,
    /// How long the id is that ends the public part, where it may begin with a date.
    id: Option<usize>,
    lengths: (usize, usize),
}

/// One way a key can begin, and its first sixteen bytes as a number, to compare with one instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Head {
    text: Box<str>,
    number: u128,
    mask: u128,
}

impl Head {
    fn new(text: String) -> Self {
        let mut bytes = [0; 16];
        let mut mask = [0; 16];
        for ((byte, masked), wanted) in bytes.iter_mut().zip(&mut mask).zip(text.bytes()) {
            (*byte, *masked) = (wanted, u8::MAX);
        }
        Self { text: text.into(), number: u128::from_le_bytes(bytes), mask: u128::from_le_bytes(mask) }
    }

    #[inline]
    fn begins(&self, key: &[u8], number: u128) -> bool {
        (number ^ self.number) & self.mask == 0 && (self.text.len() <= 16 || key.starts_with(self.text.as_bytes()))
    }
}

/// What a well-formed key says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// How many of its first bytes may be shown: its public part.
    pub shown: usize,
}

/// A new key.
pub struct Issued {
    /// The whole key.
    pub key: PlainKey,
    /// The part that may be shown.
    pub prefix: String,
    /// Its last four characters.
    pub last_four: String,
    /// When it was issued, where it says so itself.
    pub date: Option<Date>,
}

impl Format {
    /// Compiles a template.
    ///
    /// # Errors
    /// What is wrong and what to write instead.
    pub fn compile(
        template: &str,
        environments: &[&str],
        services: &[&str],
        shown: Option<usize>,
    ) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some(open) = rest.find('{') {
            let (literal, from) = rest.split_at(open);
            let close = from.find('}').ok_or_else(|| format!("`{template}` has a `{{` without its `}}`"))?;
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.into()));
            }
            parts.push(placeholder(from.get(1..close).unwrap_or_default(), environments, services)?);
            rest = from.get(close + 1..).unwrap_or_default();
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.into()));
        }
        check_parts(template, &parts)?;
        let lengths = parts.iter().map(Part::lengths).fold((0, 0), |(min, max), part| (min + part.0, max + part.1));
        if lengths.1 > MAX_KEY {
            return Err(format!("`{template}` allows keys of {} characters: at most {MAX_KEY}", lengths.1));
        }
        let headed = parts.iter().take_while(|part| part.spellings().is_some()).count();
        let heads =
            parts.iter().take(headed).filter_map(Part::spellings).fold(vec![String::new()], |heads, spellings| {
                heads
                    .iter()
                    .flat_map(|head| spellings.iter().map(move |spelling| format!("{head}{spelling}")))
                    .collect()
            });
        let tails = Tail::all(parts.get(headed..).unwrap_or_default());
        let (id, heads) = (dated_id(&parts), heads.into_iter().map(Head::new).collect());
        Ok(Self { parts: parts.into(), heads, tails, shown, id, lengths })
    }

    /// A format no key has.
    #[must_use]
    pub fn none() -> Self {
        Self {
            parts: Box::default(),
            heads: Box::default(),
            tails: Box::default(),
            shown: None,
            id: None,
            lengths: (usize::MAX, 0),
        }
    }

    /// The most of a key that may be shown: at least 64 random bits of secret stay hidden, and never its end.
    #[must_use]
    pub fn longest_shown(&self) -> usize {
        let fixed = |part: &Part| !matches!(part, Part::Secret(_) | Part::Hex(_) | Part::Token { .. } | Part::Checksum);
        let public: usize = self.parts.iter().take_while(|part| fixed(part)).map(|part| part.lengths().0).sum();
        public + HEX_SHOWN
    }

    /// What every key of this format begins with.
    #[must_use]
    pub fn literal_prefix(&self) -> &str {
        match self.parts.first() {
            Some(Part::Literal(text)) => text,
            _ => "",
        }
    }

    /// How many bytes a key begins with as this format's keys do, environment and service included; `None` where it does
    /// not even begin with what all of them do. What is open is like nothing.
    #[must_use]
    pub fn likeness(&self, key: &[u8]) -> Option<usize> {
        let beginnings = self.heads.iter().map(|head| &*head.text).chain([self.literal_prefix()]);
        let alike = beginnings.filter(|text| key.starts_with(text.as_bytes())).map(str::len).max();
        alike.filter(|length| *length > 0 && !self.is_open())
    }

    /// Whether the format is open: made for imported keys, never for issuing.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Token { .. }))
    }

    /// Whether the template has a part for the environment.
    #[must_use]
    pub fn names_environment(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Environment(_)))
    }

    /// Whether the template has a part for the service.
    #[must_use]
    pub fn names_service(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Service(_)))
    }

    /// Reads a presented key: `None` where it cannot be one of these.
    #[must_use]
    #[inline]
    pub fn read(&self, key: &[u8]) -> Option<Reading> {
        let public = self.read_public(key)?;
        Some(Reading { shown: self.shown.unwrap_or(public) })
    }

    /// How many bytes of a presented key its public part is.
    #[inline]
    fn read_public(&self, key: &[u8]) -> Option<usize> {
        if key.len() < self.lengths.0 || key.len() > self.lengths.1 {
            return None;
        }
        // No format allows a key as short as eight bytes; only one for imported keys allows less than sixteen.
        let number = key
            .first_chunk::<16>()
            .map_or_else(|| Head::new(String::from_utf8_lossy(key).into()).number, |chunk| u128::from_le_bytes(*chunk));
        let at = self.heads.iter().find(|head| head.begins(key, number))?.text.len();
        self.tails.iter().find_map(|tail| tail.read(key, at))
    }

    /// Makes a new key. `environment` and `service` must be among those the format was compiled with.
    pub fn issue(
        &self,
        environment: Option<&str>,
        service: Option<&str>,
        now: Time,
        rng: &mut impl CryptoRng,
    ) -> Issued {
        // Where less is shown than the public part, that has to tell keys apart: a date would not.
        let is_dated = self.id.is_some() && self.shown.is_none();
        let mut date = None;
        // One allocation of the right size: growing would leave copies of the secret behind.
        let mut text = String::with_capacity(MAX_KEY);
        let mut shown = 0;
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Environment(_) => text.push_str(environment.unwrap_or_default()),
                Part::Service(_) => text.push_str(service.unwrap_or_default()),
                Part::Id(length) => {
                    let begin = text.len();
                    if is_dated {
                        text.extend(spell_time(now).map(char::from));
                    }
                    text.extend((text.len() - begin..*length).map(|_| char::from(Alphanumeric.sample(rng))));
                    date = text.as_bytes().get(begin..).and_then(|id| id.first_chunk().copied()).filter(|_| is_dated);
                    shown = text.len();
                }
                Part::Secret(length) | Part::Token { min: length, .. } => {
                    text.extend((0..*length).map(|_| char::from(Alphanumeric.sample(rng))));
                }
                Part::Hex(length) => {
                    shown = shown.max(text.len() + HEX_SHOWN);
                    text.extend((0..*length).filter_map(|_| char::from_digit(rng.random_range(0..16), 16)));
                }
                Part::Checksum => text.extend(checksum(text.as_bytes()).map(char::from)),
            }
        }
        let prefix = text.get(..self.shown.unwrap_or(shown)).unwrap_or_default().to_owned();
        let last_four = text.get(text.len().saturating_sub(4)..).unwrap_or_default().to_owned();
        Issued { key: PlainKey::new(text), prefix, last_four, date }
    }
}

impl Part {
    /// Every way a part that does not vary from key to key is spelled.
    fn spellings(&self) -> Option<Vec<&str>> {
        match self {
            Self::Literal(text) => Some(vec![text]),
            Self::Environment(options) | Self::Service(options) => {
                Some(options.iter().map(|option| &**option).collect())
            }
            Self::Id(_) | Self::Secret(_) | Self::Hex(_) | Self::Token { .. } | Self::Checksum => None,
        }
    }

    fn lengths(&self) -> (usize, usize) {
        match self {
            Self::Literal(text) => (text.len(), text.len()),
            Self::Environment(options) | Self::Service(options) => {
                let lengths = || options.iter().map(|option| option.len());
                (lengths().min().unwrap_or(0), lengths().max().unwrap_or(0))
            }
            Self::Id(length) | Self::Secret(length) | Self::Hex(length) => (*length, *length),
            Self::Token { min, max } => (*min, *max),
            Self::Checksum => (CHECKSUM, CHECKSUM),
        }
    }

    fn bits(&self) -> f64 {
        let bits_each = match self {
            Self::Secret(_) => 62f64.log2(),
            Self::Hex(_) => 4.0,
            // A foreign system made it; how well is not ours to say.
            Self::Token { .. } => return MIN_BITS,
            Self::Literal(_) | Self::Environment(_) | Self::Service(_) | Self::Id(_) | Self::Checksum => 0.0,
        };
        bits_each * f64::from(u32::try_from(self.lengths().0).unwrap_or(0))
    }
}

fn placeholder(text: &str, environments: &[&str], services: &[&str]) -> Result<Part, String> {
    let boxed = |names: &[&str]| names.iter().map(|name| Box::from(*name)).collect::<Box<[Box<str>]>>();
    let (name, argument) = text.split_once(':').map_or((text, None), |(name, argument)| (name, Some(argument)));
    let wrong_length = || format!("`{{{text}}}` needs a length from 1 to {MAX_KEY}, as in {{{name}:12}}");
    let length = || {
        argument
            .and_then(|digits| digits.parse::<usize>().ok())
            .filter(|length| (1..=MAX_KEY).contains(length))
            .ok_or_else(wrong_length)
    };
    match (name, argument) {
        ("environment", None) if environments.is_empty() => {
            Err("the format has {environment}, but the kind lists no environments".into())
        }
        ("environment", None) => Ok(Part::Environment(boxed(environments))),
        ("service", None) if services.is_empty() => {
            Err("the format has {service}, but the kind lists no services".into())
        }
        ("service", None) => Ok(Part::Service(boxed(&[services, &[SEVERAL_SERVICES]].concat()))),
        ("checksum", None) => Ok(Part::Checksum),
        ("id", _) => length().map(Part::Id),
        ("secret", _) => length().map(Part::Secret),
        ("hex", _) => length().map(Part::Hex),
        ("token", Some(range)) => {
            let (min, max) = range.split_once("..").ok_or_else(wrong_length)?;
            let (min, max) = (min.parse().map_err(|_| wrong_length())?, max.parse().map_err(|_| wrong_length())?);
            if (8..=max).contains(&min) && max <= MAX_KEY {
                Ok(Part::Token { min, max })
            } else {
                Err(format!("`{{{text}}}` needs lengths from 8 to {MAX_KEY}, as in {{token:16..128}}"))
            }
        }
        _ => Err(format!(
            "`{{{text}}}` is unknown: use {{environment}}, {{service}}, {{id:12}}, {{secret:26}}, {{hex:32}}, {{token:16..128}} or {{checksum}}"
        )),
    }
}

fn check_parts(template: &str, parts: &[Part]) -> Result<(), String> {
    let literal = |part: &Part| if let Part::Literal(text) = part { text.bytes().all(token) } else { true };
    if !parts.iter().all(literal) {
        return Err(format!("`{template}` may hold only letters, digits, `_`, `-` and `.` beside its parts in braces"));
    }
    let bits: f64 = parts.iter().map(Part::bits).sum();
    if bits < MIN_BITS {
        return Err(format!("`{template}` has {bits:.0} random bits: at least 128, as in {{secret:22}} or {{hex:32}}"));
    }
    let place = parts.iter().position(|part| matches!(part, Part::Checksum | Part::Token { .. }));
    if place.is_some_and(|place| place + 1 != parts.len()) {
        return Err(format!("`{template}` must end with its {{checksum}} or {{token}}"));
    }
    let ways = parts.iter().filter_map(Part::spellings).fold(1, |ways: usize, part| ways.saturating_mul(part.len()));
    if ways > MOST_WAYS {
        return Err(format!(
            "`{template}` can be spelled in more than {MOST_WAYS} ways: write fewer of {{environment}} and {{service}}, or list fewer of them"
        ));
    }
    Ok(())
}

fn token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn native() -> Format {
        Format::compile("kw_{environment}_{id:12}_{secret:26}{checksum}", &["live", "test"], &[], None).unwrap()
    }

    fn formats() -> Vec<Format> {
        let services = ["storage", "llm", "database", "dns", "gpu"];
        vec![
            native(),
            Format::compile("wayscloud_{service}_{id:8}_{secret:34}{checksum}", &[], &services, None).unwrap(),
            Format::compile("wvs_{environment}_{hex:32}", &["live", "test", "dev"], &[], None).unwrap(),
            Format::compile("wayscloud_{id:15}_{secret:30}{checksum}", &[], &[], Some(17)).unwrap(),
            Format::compile("sk_{token:16..40}", &[], &[], None).unwrap(),
            Format::compile("k_{id:5}_{environment}_{service}_{secret:24}{checksum}", &["live"], &services, None)
                .unwrap(),
        ]
    }

    #[test]
    fn an_issued_key_shows_its_public_part_alone() {
        let mut rng = StdRng::seed_from_u64(1);
        let issued = native().issue(Some("live"), None, Time::from_millis(0), &mut rng);
        let key = issued.key.reveal();
        assert_eq!((key.len(), issued.prefix.len()), (8 + 12 + 1 + 26 + 6, 20));
        assert!(key.starts_with(&issued.prefix) && key.ends_with(&issued.last_four));
        let wavis = formats()[2].issue(Some("live"), None, Time::from_millis(0), &mut rng);
        assert_eq!((wavis.key.reveal().len(), wavis.prefix.len()), (41, 15));
        let account = formats()[3].issue(None, None, Time::from_millis(0), &mut rng);
        assert_eq!(account.prefix.len(), 17);
    }

    proptest! {
        #[test]
        fn every_issued_key_reads_back_and_no_changed_one_with_a_checksum_does(seed: u64, place in 0usize..200, to in 0u8..128) {
            let mut rng = StdRng::seed_from_u64(seed);
            for (which, format) in formats().iter().enumerate() {
                let issued = format.issue(Some("live"), Some("llm"), Time::from_millis(0), &mut rng);
                let mut key = issued.key.reveal().as_bytes().to_vec();
                let reading = format.read(&key);
                if which != 4 {
                    prop_assert_eq!(reading.map(|reading| reading.shown), Some(issued.prefix.len()));
                }
                let place = place % key.len();
                if key[place] != to && matches!(which, 0 | 1 | 3 | 5) {
                    key[place] = to;
                    prop_assert_eq!(format.read(&key), None);
                }
            }
        }

        #[test]
        fn reading_anything_never_fails(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for format in formats() {
                let _ = format.read(&bytes);
            }
        }
    }

    #[test]
    fn a_wrong_part_length_or_case_is_refused() {
        let format = &formats()[2];
        let good = format!("wvs_live_{}", "0123456789abcdef".repeat(2));
        assert_eq!(format.read(good.as_bytes()), Some(Reading { shown: 15 }));
        for bad in [
            good.to_uppercase(),
            format!("{good}0"),
            good.replace("live", "prod"),
            good.replace('a', "g"),
            String::new(),
        ] {
            assert_eq!(format.read(bad.as_bytes()), None, "{bad} was read");
        }
    }

    #[test]
    fn templates_are_checked_with_a_word_on_what_to_write() {
        for (template, says) in [
            ("kw_{secret:10}", "at least 128"),
            ("kw_{secret}", "{secret:12}"),
            ("kw_{secret:0}", "length"),
            ("kw_{secret:30", "without its"),
            ("kw_{sekret:30}", "unknown"),
            ("kw {secret:30}", "only letters"),
            ("kw_{environment}_{secret:30}", "lists no environments"),
            ("kw_{service}_{secret:30}", "lists no services"),
            ("kw_{checksum}{secret:30}", "must end"),
            ("kw_{token:2..9}", "lengths"),
            ("kw_{secret:250}{id:20}", "at most 256"),
        ] {
            let error = Format::compile(template, &[], &[], None).unwrap_err();
            assert!(error.contains(says), "{template}: {error}");
        }
        for (times, is_taken) in [(6, true), (7, false), (20, false)] {
            let environments = "{environment}".repeat(times);
            for template in [format!("k_{environments}{{secret:24}}"), format!("k_{{id:2}}{environments}{{secret:24}}")]
            {
                let compiled = Format::compile(&template, &["a", "b", "c", "d"], &[], None);
                assert!(
                    if is_taken { compiled.is_ok() } else { compiled.unwrap_err().contains("4096 ways") },
                    "{template}"
                );
            }
        }
    }
}
