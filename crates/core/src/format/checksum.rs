//! The checksum a key may end with: XXH3, so that a typing error is seen without a lookup. It keeps nobody out.

use twox_hash::XxHash3_64;

/// Letters and digits of a checksum.
pub(super) const CHECKSUM: usize = 6;

/// Letters and digits in the order of their bytes.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The value of each digit in base 62.
#[expect(clippy::indexing_slicing, reason = "done while compiling: an index out of bounds does not compile")]
const VALUES: [u8; 256] = {
    let mut values = [0; 256];
    let mut value = 0;
    while value < DIGITS.len() {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// The low 32 bits of XXH3-64: a typing error goes unseen once in four thousand million times.
#[inline]
fn sum(covered: &[u8]) -> u64 {
    XxHash3_64::oneshot(covered) & u64::from(u32::MAX)
}

/// The checksum as it is written: base 62, six digits, the least significant first.
pub(super) fn checksum(covered: &[u8]) -> [u8; CHECKSUM] {
    digits(sum(covered))
}

/// A number's last digits in base 62, the least significant first.
pub(super) fn digits<const COUNT: usize>(mut rest: u64) -> [u8; COUNT] {
    [(); COUNT].map(|()| {
        let digit = DIGITS.get((rest % 62) as usize).copied().unwrap_or(b'0');
        rest /= 62;
        digit
    })
}

/// Whether these letters and digits are the checksum of `covered`. Reading digits is faster than writing them.
///
/// Apart from the loops it is called in: they would first compute all that texts of any length might need.
#[inline(never)]
pub(super) fn has_checksum(covered: &[u8], written: [u8; CHECKSUM]) -> bool {
    let mut value = 0;
    let mut unit = 1;
    for byte in written {
        value += u64::from(VALUES.get(usize::from(byte)).copied().unwrap_or_default()) * unit;
        unit *= 62;
    }
    value == sum(covered)
}
