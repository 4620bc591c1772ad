//! The second factor: codes from an authenticator (RFC 6238), and codes on paper for when it is lost.
//!
//! What must stay true (security.md 21 to 26): a step is taken once, so a match says which step it is of and the store
//! takes it only where it is later than the last; one step of drift to either side; exactly six ASCII digits.

use qrcode::QrCode;
use qrcode::render::svg;
use rand::CryptoRng;
use totp_rs::{Algorithm, Builder, Totp};
use zeroize::Zeroizing;

use crate::time::Time;

/// Bytes of a secret: 160 bits, as long as the hash (RFC 4226, 4).
const SECRET_BYTES: usize = 20;
/// Seconds of a step.
const STEP_SECONDS: u64 = 30;
/// Steps to either side that a clock may be off by.
const DRIFT_STEPS: u16 = 1;
/// Codes on paper that a person is given at a time.
pub const BACKUP_CODES: usize = 10;
/// Letters of a code on paper: 60 bits, more than anybody guesses through a limiter, or from a digest without its key.
const BACKUP_LETTERS: usize = 12;
/// Crockford's base 32: no letter looks like another.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// What an authenticator and the server share. Zeroized when dropped, and neither `Debug` nor `Display`.
pub struct Secret(Zeroizing<[u8; SECRET_BYTES]>);

impl Secret {
    /// A new one.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        rng.fill_bytes(bytes.as_mut());
        Self(bytes)
    }

    /// From what was sealed.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// What is to be sealed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.as_ref()
    }

    /// The step this code is of, where it is one of the present step or its neighbours.
    #[must_use]
    pub fn step_of(&self, code: &str, now: Time) -> Option<i64> {
        let is_code = code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = u64::try_from(now.millis().div_euclid(1_000)).ok().filter(|_| is_code)?;
        let step = self.totp("", "")?.check(code, seconds)?;
        i64::try_from(step).ok()
    }

    /// The code an authenticator shows at a time.
    #[must_use]
    pub fn code_at(&self, at: Time) -> Option<String> {
        let seconds = u64::try_from(at.millis().div_euclid(1_000)).ok()?;
        Some(self.totp("", "")?.generate(seconds).to_string())
    }

    /// The secret as it is typed into an authenticator: base 32.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(self.totp("", "").map(|totp| totp.secret().to_base32()).unwrap_or_default())
    }

    /// The address that an authenticator loads it by, for a person known by `name` at `issuer`.
    #[must_use]
    pub fn url(&self, issuer: &str, name: &str) -> Option<Zeroizing<String>> {
        self.totp(issuer, name)?.to_url().ok().map(Zeroizing::new)
    }

    fn totp(&self, issuer: &str, name: &str) -> Option<Totp> {
        let builder = Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(6)
            .with_skew(DRIFT_STEPS)
            .with_step_duration(STEP_SECONDS)
            .with_secret(self.0.as_ref())
            // A colon ends the issuer in the address (Key Uri Format).
            .with_account_name(name.replace(':', " "))
            .with_issuer((!issuer.is_empty()).then(|| issuer.replace(':', " ")));
        builder.build().ok()
    }
}

/// The picture an authenticator's camera reads, as SVG.
#[must_use]
pub fn qr_svg(url: &str) -> Option<String> {
    let code = QrCode::new(url.as_bytes()).ok()?;
    Some(code.render::<svg::Color<'_>>().min_dimensions(240, 240).build())
}

/// A code somebody sends as their second factor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Code<'a> {
    /// Six digits, from an authenticator.
    Totp(&'a str),
    /// Anything else: from paper, if it is a code at all.
    Backup(&'a str),
}

impl<'a> Code<'a> {
    /// What a text is.
    #[must_use]
    pub fn read(text: &'a str) -> Self {
        let is_totp = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_totp { Self::Totp(text) } else { Self::Backup(text) }
    }
}

/// New codes on paper, as they are shown, this once.
pub fn backup_codes(rng: &mut impl CryptoRng) -> Vec<Zeroizing<String>> {
    let code = || {
        let mut bytes = Zeroizing::new([0; BACKUP_LETTERS]);
        rng.fill_bytes(bytes.as_mut());
        let letter = |byte: &u8| ALPHABET.get(usize::from(byte % 32)).copied().map_or('0', char::from);
        let groups = bytes.chunks(4).map(|group| group.iter().map(letter).collect::<String>());
        Zeroizing::new(groups.collect::<Vec<_>>().join("-"))
    };
    std::iter::repeat_with(code).take(BACKUP_CODES).collect()
}

/// A code on paper in its one spelling, without what people add or leave out when they type; none where it cannot be
/// one.
#[must_use]
pub fn normal_backup_code(text: &str) -> Option<Zeroizing<String>> {
    if text.len() > 64 {
        return None;
    }
    let letters = text.bytes().filter(|byte| !matches!(byte, b'-' | b' ')).map(|byte| byte.to_ascii_lowercase());
    let normal: Zeroizing<String> = Zeroizing::new(letters.map(char::from).collect());
    let is_code = normal.len() == BACKUP_LETTERS && normal.bytes().all(|byte| ALPHABET.contains(&byte));
    is_code.then_some(normal)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    fn rfc_secret() -> Secret {
        Secret::from_bytes(b"12345678901234567890").unwrap()
    }

    fn at(seconds: i64) -> Time {
        Time::from_millis(seconds * 1_000)
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // Appendix B, the last six of its eight digits.
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(rfc_secret().step_of(code, at(seconds)), Some(seconds / 30), "{seconds}");
            assert_eq!(rfc_secret().code_at(at(seconds)).as_deref(), Some(code));
        }
    }

    #[test]
    fn a_clock_may_be_off_by_one_step_and_a_match_says_which() {
        let (secret, now) = (rfc_secret(), at(1_234_567_890));
        let step = 1_234_567_890 / 30;
        for off in -3..=3 {
            let code = secret.code_at(at(1_234_567_890 + off * 30)).unwrap();
            assert_eq!(secret.step_of(&code, now), (-1..=1).contains(&off).then_some(step + off), "off by {off}");
        }
    }

    #[test]
    fn nothing_is_trimmed_or_folded() {
        let now = at(1_234_567_890);
        for wrong in [
            "",
            "5924",
            "05924",
            "0005924",
            " 005924",
            "005924 ",
            "005 924",
            "٠٠٥٩٢٤",
            "００５９２４",
            "+05924",
            "-05924",
        ] {
            assert_eq!(rfc_secret().step_of(wrong, now), None, "{wrong:?}");
        }
    }

    #[test]
    fn an_authenticators_address_says_all_it_needs() {
        let url = rfc_secret().url("Keywright: demo", "ann@example.com").unwrap();
        let secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        assert_eq!(*rfc_secret().text(), secret);
        let issuer = "Keywright%20%20demo";
        assert_eq!(*url, format!("otpauth://totp/{issuer}:ann%40example.com?secret={secret}&issuer={issuer}"));
        assert!(qr_svg(&url).unwrap().contains("<svg"));
    }

    #[test]
    fn codes_on_paper_are_many_and_forgive_how_they_are_typed() {
        let codes = backup_codes(&mut rand::rngs::StdRng::seed_from_u64(1));
        let distinct: std::collections::BTreeSet<&str> = codes.iter().map(|code| code.as_str()).collect();
        assert_eq!(distinct.len(), BACKUP_CODES);
        for code in &codes {
            assert_eq!(code.len(), 14, "{}", **code);
            let normal = normal_backup_code(code).unwrap();
            for typed in [code.to_uppercase(), code.replace('-', ""), format!(" {} ", code.replace('-', " "))] {
                assert_eq!(normal_backup_code(&typed).unwrap(), normal);
            }
        }
        for wrong in ["", "123456", "abcd-efgh-jkm", "abcd-efgh-jkmi", "abcd-efgh-jkmnp", &"a".repeat(65)] {
            assert!(normal_backup_code(wrong).is_none(), "{wrong}");
        }
    }
}
