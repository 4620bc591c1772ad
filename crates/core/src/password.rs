//! What a password must be. Nothing is cut off, nothing is asked but length and not being easily guessed (NIST SP
//! 800-63B-4, 3.1.1; security.md 14 to 17).

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// The fewest characters of a password that stands alone.
pub const SHORTEST_ALONE: usize = 15;
/// The fewest characters of a password beside a second factor.
pub const SHORTEST_WITH_FACTOR: usize = 8;
/// The most bytes of a password: far more than anybody types, and little enough to hash.
pub const LONGEST_BYTES: usize = 1_024;
/// Passwords that fewer guesses than ten to the power of this find are refused: the most common ones, the person's own
/// address, and walks over a keyboard.
const EASILY_GUESSED_LOG10: f64 = 8.0;

/// A password in the one spelling it is hashed in: NFKC. Zeroized when dropped, and never shown.
pub struct Password {
    text: Zeroizing<String>,
    length: usize,
}

impl Password {
    /// A password as somebody sends it, to be compared with one that was chosen. `None` where none can be so long.
    #[must_use]
    pub fn given(text: &str) -> Option<Self> {
        if text.len() > LONGEST_BYTES {
            return None;
        }
        let normal: Zeroizing<String> = Zeroizing::new(text.nfkc().collect());
        // There is a character that NFKC spells out in eighteen: it is still as easily guessed as any other.
        let length = text.chars().count().min(normal.chars().count());
        Some(Self { text: normal, length })
    }

    /// A password somebody chooses. What they are known by must not be what guards them.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub fn chosen(text: &str, known_by: &[&str], has_second_factor: bool) -> Result<Self, TooWeak> {
        let password = Self::given(text).ok_or(TooWeak::Long)?;
        let shortest = if has_second_factor { SHORTEST_WITH_FACTOR } else { SHORTEST_ALONE };
        if password.length() < shortest {
            return Err(TooWeak::Short(shortest));
        }
        if zxcvbn::zxcvbn(&password.text, known_by).guesses_log10() < EASILY_GUESSED_LOG10 {
            return Err(TooWeak::EasilyGuessed);
        }
        Ok(password)
    }

    /// How many characters it has: as it is typed, and as it is hashed, if that is fewer.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length
    }

    /// What is hashed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// Why a password is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooWeak {
    /// It has fewer characters than this.
    Short(usize),
    /// It is longer than anything that is hashed.
    Long,
    /// It is among the first that somebody would try.
    EasilyGuessed,
}

impl fmt::Display for TooWeak {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(shortest) => {
                write!(out, "has at least {shortest} characters: a few words that do not belong together do")
            }
            Self::Long => write!(out, "has at most {LONGEST_BYTES} bytes"),
            Self::EasilyGuessed => {
                out.write_str("is among the first that are tried: take a few words that do not belong together")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(text: &str, has_second_factor: bool) -> Result<usize, TooWeak> {
        Password::chosen(text, &["ann.smith@example.com"], has_second_factor).map(|password| password.length())
    }

    #[test]
    fn length_is_counted_in_characters_and_nothing_else_is_asked() {
        assert_eq!(choose("plum tractor ode", false), Ok(16));
        assert_eq!(choose("plum tractor o", false), Err(TooWeak::Short(15)));
        assert_eq!(choose("vf8#kq2Z", true), Ok(8));
        assert_eq!(choose("vf8#kq2", true), Err(TooWeak::Short(8)));
        assert_eq!(choose("блюдце и паровоз ночью", false), Ok(22));
        assert_eq!(choose(&"plum tractor ode ".repeat(50), false), Ok(850));
        assert_eq!(choose(&"p".repeat(1_025), false), Err(TooWeak::Long));
    }

    #[test]
    fn a_character_that_stands_for_many_counts_as_the_one_it_is() {
        // One that NFKC spells out in eighteen, and a circled number that it spells in two.
        assert_eq!(choose("\u{fdfa}", false), Err(TooWeak::Short(15)));
        assert_eq!(choose("\u{fdfa}x", true), Err(TooWeak::Short(8)));
        assert_eq!(choose(&format!("plum tractor {}", '\u{246a}'), false), Err(TooWeak::Short(15)));
        // Nor do marks that it joins to their letters count beside them.
        assert_eq!(choose("cafe\u{301} tre\u{300}s noir", false), Err(TooWeak::Short(15)));
    }

    #[test]
    fn the_first_that_are_tried_are_refused() {
        for common in [
            "passwordpassword",
            "123456789012345",
            "qwertyuiopasdfghjkl",
            "aaaaaaaaaaaaaaaaaaaa",
            "ann.smith@example.com",
            "Password1234567",
        ] {
            assert_eq!(choose(common, false), Err(TooWeak::EasilyGuessed), "{common}");
        }
        for common in ["password", "letmein1", "iloveyou", "12345678"] {
            assert_eq!(choose(common, true), Err(TooWeak::EasilyGuessed), "{common}");
        }
    }

    #[test]
    fn spellings_that_look_alike_are_one() {
        let bytes = |text: &str| Password::given(text).unwrap().bytes().to_vec();
        // A composed and a decomposed é; a full-width and a plain A.
        assert_eq!(bytes("caf\u{e9}"), bytes("cafe\u{301}"));
        assert_eq!(bytes("\u{ff21}bc"), bytes("Abc"));
        assert_ne!(bytes("abc"), bytes("abc "), "nothing is trimmed");
        assert_ne!(bytes("abc"), bytes("Abc"), "nothing is folded");
    }
}
