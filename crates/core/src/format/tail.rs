//! What follows a key's head, as a table that is compared sixteen bytes at a time.

use wide::u8x16;

use super::checksum::{CHECKSUM, has_checksum};
use super::{HEX_SHOWN, Part};

/// The bytes that one comparison takes.
const LANES: usize = 16;

/// One way a key can go on after its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    /// One after the other, but for the last.
    blocks: Box<[Block]>,
    /// The one that ends where the run of parts of a known length does; it may overlap the one before.
    last: Block,
    run: usize,
    /// How much of the run may be shown; `None` where nothing of the key may.
    shown: Option<usize>,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The key ends with the run.
    Run,
    /// So it does, and the run's last digits are a checksum.
    Checksum,
    /// So many more bytes that may be anything from a foreign system.
    Token { min: usize, max: usize },
}

/// What neighbouring bytes must be. One of which nothing is said may be anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    text: u8x16,
    /// All bits of the bytes that must be as `text` has them.
    fixed: u8x16,
    /// All bits of the bytes that must be digits or letters.
    classed: u8x16,
    /// 0x20 where the letters may be of either case.
    folded: u8x16,
    /// How far from `a` the last letter is.
    letters: u8x16,
}

/// What one byte must be.
#[derive(Clone, Copy)]
enum Byte {
    Is(u8),
    Alphanumeric,
    LowerHex,
}

impl Tail {
    /// The tails of all these parts; several where an environment or a service stands among them.
    pub(super) fn all(parts: &[Part]) -> Box<[Self]> {
        let mut begun: Vec<(Vec<Byte>, Option<usize>, End)> = vec![(Vec::new(), None, End::Run)];
        for part in parts {
            if let Some(spellings) = part.spellings() {
                let spell = |(bytes, shown, end): &(Vec<Byte>, Option<usize>, End), spelling: &str| {
                    (bytes.iter().copied().chain(spelling.bytes().map(Byte::Is)).collect(), *shown, *end)
                };
                begun = begun.iter().flat_map(|one| spellings.iter().map(move |text| spell(one, text))).collect();
            }
            for (bytes, shown, end) in &mut begun {
                match *part {
                    Part::Literal(_) | Part::Environment(_) | Part::Service(_) => {}
                    Part::Id(length) => {
                        bytes.extend([Byte::Alphanumeric].repeat(length));
                        *shown = Some(bytes.len());
                    }
                    Part::Secret(length) => bytes.extend([Byte::Alphanumeric].repeat(length)),
                    Part::Hex(length) => {
                        *shown = (*shown).max(Some(bytes.len() + HEX_SHOWN));
                        bytes.extend([Byte::LowerHex].repeat(length));
                    }
                    Part::Token { min, max } => *end = End::Token { min, max },
                    Part::Checksum => {
                        bytes.extend([Byte::Alphanumeric; CHECKSUM]);
                        *end = End::Checksum;
                    }
                }
            }
        }
        begun.into_iter().map(|(bytes, shown, end)| Self::new(&bytes, shown, end)).collect()
    }

    fn new(bytes: &[Byte], shown: Option<usize>, end: End) -> Self {
        let block = |from: usize| Block::new(bytes.get(from..).unwrap_or_default());
        let whole = bytes.len().saturating_sub(1) / LANES;
        Self {
            blocks: (0..whole).map(|number| block(number * LANES)).collect(),
            last: block(bytes.len().saturating_sub(LANES)),
            run: bytes.len(),
            shown,
            end,
        }
    }

    /// How much of a key may be shown that has this tail from `at` on; `None` where it has another.
    #[inline]
    pub(super) fn read(&self, key: &[u8], at: usize) -> Option<usize> {
        let tail = key.get(at..)?;
        let beyond = tail.len().checked_sub(self.run)?;
        let last = tail.get(self.run.saturating_sub(LANES)..)?;
        let last = last.first_chunk().map_or_else(|| padded(last), |last| u8x16::new(*last));
        let blocks = self.blocks.iter().zip(tail.as_chunks().0);
        let wrong = blocks.fold(self.last.wrong(last), |wrong, (block, it)| wrong | block.wrong(u8x16::new(*it)));
        if wrong != u8x16::ZERO {
            return None;
        }
        let shown = self.shown.map_or(0, |shown| at + shown);
        match self.end {
            End::Run => (beyond == 0).then_some(shown),
            End::Checksum => {
                let (covered, written) = key.split_last_chunk()?;
                (beyond == 0 && has_checksum(covered, *written)).then_some(shown)
            }
            End::Token { min, max } => {
                let token = tail.get(self.run..)?;
                let is_token = (min..=max).contains(&token.len()) && token.iter().all(|byte| super::token(*byte));
                is_token.then_some(at + self.run + token.len() / 3)
            }
        }
    }
}

impl Block {
    /// Of the first of these, or as many as there are.
    fn new(bytes: &[Byte]) -> Self {
        let each = |of: fn(Byte) -> u8| {
            let mut lanes = [0; LANES];
            lanes.iter_mut().zip(bytes).for_each(|(lane, byte)| *lane = of(*byte));
            u8x16::new(lanes)
        };
        Self {
            text: each(|byte| if let Byte::Is(text) = byte { text } else { 0 }),
            fixed: each(|byte| mask(matches!(byte, Byte::Is(_)))),
            classed: each(|byte| mask(!matches!(byte, Byte::Is(_)))),
            folded: each(|byte| if matches!(byte, Byte::Alphanumeric) { 0x20 } else { 0 }),
            letters: each(|byte| if matches!(byte, Byte::LowerHex) { b'f' - b'a' } else { b'z' - b'a' }),
        }
    }

    /// Not zero where one of these is not what it must be.
    #[inline]
    fn wrong(&self, bytes: u8x16) -> u8x16 {
        let beyond_letters = ((bytes | self.folded) - u8x16::splat(b'a')).saturating_sub(self.letters);
        let beyond_digits = (bytes - u8x16::splat(b'0')).saturating_sub(u8x16::splat(9));
        beyond_letters.min(beyond_digits) & self.classed | (bytes ^ self.text) & self.fixed
    }
}

/// Bytes that are fewer than a block takes.
#[cold]
fn padded(bytes: &[u8]) -> u8x16 {
    let mut lanes = [0; LANES];
    lanes.iter_mut().zip(bytes).for_each(|(lane, byte)| *lane = *byte);
    u8x16::new(lanes)
}

/// All bits, or none.
const fn mask(is: bool) -> u8 {
    if is { u8::MAX } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_bytes_at_once_pass_as_they_would_one_by_one() {
        for length in 1..40 {
            let tails = [Part::Secret(length), Part::Hex(length), Part::Literal("7".repeat(length).into())]
                .map(|part| Tail::all(&[part, Part::Token { min: 8, max: 8 }]));
            for (byte, place) in (0..=u8::MAX).flat_map(|byte| (0..length).map(move |place| (byte, place))) {
                let mut bytes = vec![b'7'; length + 8];
                bytes[place] = byte;
                let passes = tails.each_ref().map(|tails| tails[0].read(&bytes, 0).is_some());
                let is_hex = matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                assert_eq!(
                    passes,
                    [byte.is_ascii_alphanumeric(), is_hex, byte == b'7'],
                    "{byte} at {place} of {length}"
                );
            }
        }
    }
}
