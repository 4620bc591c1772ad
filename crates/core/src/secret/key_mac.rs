//! HMAC-SHA-256 of keys: the compressions it takes, and nothing else. A general one spends a quarter of its time on its
//! buffers.
//!
//! A block is written in the pieces it is read in, sixteen bytes at a time. A processor that reads at once what was
//! written in parts waits until all before it is done, and then cannot work on the next key while it hashes this one.

use wide::u8x16;
use zeroize::Zeroizing;

/// The bytes of a piece.
const PIECE: usize = 16;
/// The bytes of a block.
const BLOCK: usize = 64;
/// The most of a text its last block may hold: one byte marks its end and eight hold its length (FIPS 180-4, 5.1.1).
const LONGEST: usize = BLOCK - 9;
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
pub(super) struct KeyMac {
    inner: State,
    outer: State,
    end: [u8x16; 2],
}

impl KeyMac {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let state = |pad: u8| {
            let mut block = Zeroizing::new([pad; BLOCK]);
            block.iter_mut().zip(key).for_each(|(padded, byte)| *padded ^= byte);
            after(BEGIN, std::slice::from_ref(&*block))
        };
        // RFC 2104's ipad and opad.
        Self { inner: state(0x36), outer: state(0x5c), end: [ENDS[0], length_of(32)] }
    }

    /// The digest of a text that is no shorter than a piece.
    #[inline]
    pub(super) fn digest(&self, text: &[u8]) -> Option<[u8; 32]> {
        let last = u128::from_le_bytes(*text.last_chunk()?);
        let (blocks, rest) = text.as_chunks::<BLOCK>();
        let (pieces, odd) = rest.as_chunks::<PIECE>();
        let mut block = [u8x16::ZERO; 4];
        for (piece, bytes) in block.iter_mut().zip(pieces) {
            *piece = u8x16::new(*bytes);
        }
        // What is beyond the whole pieces is the end of the text's last sixteen bytes.
        let odd_bytes = last.checked_shr(8 * (PIECE - odd.len()) as u32).unwrap_or(0);
        *block.get_mut(pieces.len())? = u8x16::new(odd_bytes.to_le_bytes()) | *ENDS.get(odd.len())?;
        let mut state = if blocks.is_empty() { self.inner } else { after(self.inner, blocks) };
        if rest.len() > LONGEST {
            state = after(state, one(&block));
            block = [u8x16::ZERO; 4];
        }
        block[3] |= length_of(text.len());
        let [first, second] = big_endian(after(state, one(&block)));
        let [third, fourth] = self.end;
        Some(bytemuck::must_cast(big_endian(after(self.outer, one(&[first, second, third, fourth])))))
    }
}

#[inline]
fn one(block: &[u8x16; 4]) -> &[[u8; BLOCK]] {
    std::slice::from_ref(bytemuck::must_cast_ref(block))
}

/// The length of a text after a keyed block, as it stands at the end of the next.
#[inline]
fn length_of(text: usize) -> u8x16 {
    u8x16::new(((BLOCK as u128 + text as u128) * 8).to_be_bytes())
}

/// The state after some blocks.
#[inline]
fn after(mut state: State, blocks: &[[u8; BLOCK]]) -> State {
    sha2::block_api::compress256(&mut state, blocks);
    state
}

#[inline]
fn big_endian(state: State) -> [u8x16; 2] {
    let mut bytes = [0; 32];
    bytes.as_chunks_mut::<4>().0.iter_mut().zip(state).for_each(|(bytes, word)| *bytes = word.to_be_bytes());
    bytemuck::must_cast(bytes)
}
