//! HMAC-SHA-256 of texts that fit into one block with their padding, as nearly every key does: two compressions and
//! nothing else.
//!
//! A block is written in the pieces it is read in, sixteen bytes at a time. A processor that reads at once what was
//! written in parts waits until all before it is done, and then cannot work on the next key while it hashes this one.

use wide::u8x16;
use zeroize::Zeroizing;

/// The bytes of a piece.
const PIECE: usize = 16;
type Block = [u8x16; 4];
type State = [u32; 8];

/// What SHA-256 begins with (FIPS 180-4, 5.3.3).
const BEGIN: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The mark after a text's last byte, by the place in its piece where it stands.
static ENDS: [u8x16; PIECE] = {
    let mut ends = [u8x16::ZERO; PIECE];
    let mut place = 0;
    let mut rest: &mut [u8x16] = &mut ends;
    while let Some((end, more)) = rest.split_first_mut() {
        *end = u8x16::new((0x80_u128 << (8 * place)).to_le_bytes());
        place += 1;
        rest = more;
    }
    ends
};

/// The states after the two keyed blocks, and how the block ends that holds an inner digest.
#[derive(Clone)]
pub(super) struct ShortMac {
    inner: State,
    outer: State,
    end: [u8x16; 2],
}

impl ShortMac {
    /// The longest text: one byte marks its end and eight hold its length (FIPS 180-4, 5.1.1).
    pub(super) const LONGEST: usize = 64 - 9;

    pub(super) fn new(key: &[u8; 32]) -> Self {
        let state = |pad: u8| {
            let mut block = Zeroizing::new([pad; 64]);
            block.iter_mut().zip(key).for_each(|(padded, byte)| *padded ^= byte);
            after(BEGIN, &block)
        };
        // RFC 2104's ipad and opad.
        Self { inner: state(0x36), outer: state(0x5c), end: [ENDS[0], length_of(32)] }
    }

    /// The digest of a text that is neither shorter than a piece nor too long for the rest of a block.
    #[inline]
    pub(super) fn digest(&self, text: &[u8]) -> Option<[u8; 32]> {
        if text.len() > Self::LONGEST {
            return None;
        }
        let (whole, rest) = text.as_chunks::<PIECE>();
        let mut block: Block = [u8x16::ZERO; 4];
        for (piece, bytes) in block.iter_mut().zip(whole) {
            *piece = u8x16::new(*bytes);
        }
        // The bytes beyond the whole pieces are the end of the text's last sixteen.
        let before = 8 * (PIECE - rest.len()) as u32;
        let last = u128::from_le_bytes(*text.last_chunk()?).checked_shr(before).unwrap_or(0);
        *block.get_mut(whole.len())? = u8x16::new(last.to_le_bytes()) | *ENDS.get(rest.len())?;
        block[3] |= length_of(text.len());
        let [first, second] = big_endian(after(self.inner, bytemuck::must_cast_ref(&block)));
        let [third, fourth] = self.end;
        let digest = after(self.outer, bytemuck::must_cast_ref(&[first, second, third, fourth]));
        Some(bytemuck::must_cast(big_endian(digest)))
    }
}

/// The length of a text after a keyed block, as it stands at the end of the next.
#[inline]
fn length_of(text: usize) -> u8x16 {
    u8x16::new(((64 + text as u128) * 8).to_be_bytes())
}

/// The state after a block.
#[inline]
fn after(mut state: State, block: &[u8; 64]) -> State {
    sha2::block_api::compress256(&mut state, std::slice::from_ref(block));
    state
}

#[inline]
fn big_endian(state: State) -> [u8x16; 2] {
    let mut bytes = [0; 32];
    bytes.as_chunks_mut::<4>().0.iter_mut().zip(state).for_each(|(bytes, word)| *bytes = word.to_be_bytes());
    bytemuck::must_cast(bytes)
}
