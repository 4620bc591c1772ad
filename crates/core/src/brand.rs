//! How a provider's pages look: its logo, and its colour made readable on light and dark.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The most a logo weighs.
const HEAVIEST: usize = 32 * 1024;
/// What text must stand out by from what it stands on (WCAG 2.2, 1.4.3), and a little more.
const CONTRAST: f64 = 4.6;
/// How far a colour is taken towards black or white at a time, in 32nds.
const STEPS: u32 = 32;
/// How much of a colour is in what lies beneath it, in 32nds.
const SOFT: u32 = 4;

const WHITE: Colour = Colour([255, 255, 255]);
const BLACK: Colour = Colour([0, 0, 0]);
/// What dark pages stand on, and what stands on the accent there; `style.css` has both.
const DARK: Colour = Colour([0x1c, 0x1f, 0x23]);
const ON_DARK: Colour = Colour([0x0f, 0x11, 0x13]);

/// A provider's own look; nothing where the policy says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brand {
    /// Its logo.
    pub logo: Option<Logo>,
    /// Its colour.
    pub accent: Option<Accent>,
}

/// A picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logo {
    /// What it is: one of a few a browser shows without running anything.
    pub media_type: &'static str,
    /// The picture.
    pub bytes: Box<[u8]>,
}

impl FromStr for Logo {
    type Err = String;

    /// Reads `data:image/svg+xml;base64,…`, or the same of a PNG or WebP.
    fn from_str(text: &str) -> Result<Self, String> {
        const TYPES: [&str; 3] = ["image/svg+xml", "image/png", "image/webp"];
        let wrong = || format!("is a picture as `data:TYPE;base64,…`, TYPE being one of {}", TYPES.join(", "));
        let (media_type, data) =
            text.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")).ok_or_else(wrong)?;
        let media_type = TYPES.into_iter().find(|known| *known == media_type).ok_or_else(wrong)?;
        let bytes = STANDARD.decode(data).map_err(|_| "is no base64".to_owned())?;
        if bytes.is_empty() || bytes.len() > HEAVIEST {
            return Err(format!("weighs from 1 to {HEAVIEST} bytes, for it is on every page"));
        }
        Ok(Self { media_type, bytes: bytes.into() })
    }
}

/// A colour in the red, green and blue of sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour([u8; 3]);

impl FromStr for Colour {
    type Err = String;

    /// Reads `#0b6e4f`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no colour: write six hexadecimal digits, as in #0b6e4f");
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6).ok_or_else(wrong)?;
        let mut parts = [0; 3];
        for (part, place) in parts.iter_mut().zip([0, 2, 4]) {
            let pair = digits.get(place..place + 2).filter(|pair| pair.bytes().all(|byte| byte.is_ascii_hexdigit()));
            *part = u8::from_str_radix(pair.ok_or_else(wrong)?, 16).map_err(|_| wrong())?;
        }
        Ok(Self(parts))
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(out, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl Colour {
    /// So many 32nds of another in it.
    fn mixed(self, other: Self, part: u32) -> Self {
        let mut mixed = self.0;
        for (mine, theirs) in mixed.iter_mut().zip(other.0) {
            let sum = u32::from(*mine) * (STEPS - part) + u32::from(theirs) * part;
            *mine = u8::try_from(sum / STEPS).unwrap_or(u8::MAX);
        }
        Self(mixed)
    }

    /// How bright it is (WCAG 2.2, relative luminance).
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// How well it stands out from another: from 1, not at all, to 21.
    fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }
}

/// A colour for what is to be seen first, on light pages and on dark ones, and for what lies beneath it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accent {
    /// On light pages.
    pub light: Colour,
    /// On dark pages.
    pub dark: Colour,
    /// Beneath the light one.
    pub light_soft: Colour,
    /// Beneath the dark one.
    pub dark_soft: Colour,
}

impl From<Colour> for Accent {
    /// The colour as it is where it can be read, else the nearest that can: darker on light pages, lighter on dark ones.
    fn from(colour: Colour) -> Self {
        let near = |towards: Colour, ground: Colour, on: Colour| {
            let all = (0..=STEPS).map(|part| colour.mixed(towards, part));
            let mut looks = all.map(|accent| (accent, ground.mixed(accent, SOFT)));
            let is_read = |(accent, soft): &(Colour, Colour)| {
                [ground, *soft, on].into_iter().all(|other| accent.contrast(other) >= CONTRAST)
            };
            looks.find(is_read).unwrap_or((towards, ground))
        };
        let ((light, light_soft), (dark, dark_soft)) = (near(BLACK, WHITE, WHITE), near(WHITE, DARK, ON_DARK));
        Self { light, dark, light_soft, dark_soft }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_colour_is_six_digits() {
        assert_eq!("#0B6e4f".parse::<Colour>().unwrap().to_string(), "#0b6e4f");
        for text in ["", "#fff", "0b6e4f", "#0b6e4g", "#+1+1+1", "#0b6e4f0", "red", "#äää"] {
            assert!(text.parse::<Colour>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_colour_that_can_be_read_stays_as_it_is() {
        let accent = Accent::from("#0b6e4f".parse::<Colour>().unwrap());
        assert_eq!(accent.light.to_string(), "#0b6e4f");
    }

    #[test]
    fn a_logo_is_a_picture_of_a_known_kind() {
        let logo: Logo = "data:image/svg+xml;base64,PHN2Zy8+".parse().unwrap();
        assert_eq!((logo.media_type, &*logo.bytes), ("image/svg+xml", b"<svg/>".as_slice()));
        let heavy = format!("data:image/png;base64,{}", "AAAA".repeat(HEAVIEST / 3 + 1));
        for text in [
            "",
            "https://example.com/logo.svg",
            "data:text/html;base64,PHN2Zy8+",
            "data:image/png;base64,",
            "data:image/png;base64,%",
            &heavy,
        ] {
            assert!(text.parse::<Logo>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_colour_is_made_one_that_can_be_read(parts: [u8; 3]) {
            let Accent { light, dark, light_soft, dark_soft } = Accent::from(Colour(parts));
            for (one, other) in [(light, WHITE), (light, light_soft), (dark, DARK), (dark, dark_soft), (dark, ON_DARK)] {
                prop_assert!(one.contrast(other) >= 4.5, "{one} on {other}");
            }
        }
    }
}
