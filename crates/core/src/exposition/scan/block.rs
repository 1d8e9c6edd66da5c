//! 64 bytes as masks: bit *n* is byte *n*.

/// Which of 64 bytes are what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Classes {
    /// `\n`
    pub(super) newline: u64,
    /// `"`
    pub(super) quote: u64,
    /// `\`
    pub(super) backslash: u64,
    /// A blank (0x20 only).
    pub(super) space: u64,
    /// `=`
    pub(super) equals: u64,
    /// `,`
    pub(super) comma: u64,
    /// `:`
    pub(super) colon: u64,
    /// `0` to `9`
    pub(super) digit: u64,
    /// Letters, digits and `_`.
    pub(super) word: u64,
    /// Anything above 0x7f.
    pub(super) high: u64,
}

/// How masks are made. Every implementation gives the same masks.
pub(super) trait Block: Copy {
    fn classes(self, bytes: &[u8; 64]) -> Classes;

    /// Newlines.
    fn newlines(self, bytes: &[u8; 64]) -> u64;

    /// `0` to `9`.
    fn digits(self, bytes: &[u8; 64]) -> u64;

    /// What a help text is looked through for: backslashes, anything above 0x7f.
    fn odd_in_help(self, bytes: &[u8; 64]) -> u64;

    /// Letters, digits, `_` and colons.
    fn name(self, bytes: &[u8; 64]) -> u64;

    /// Where a block has quotes.
    fn quotes(self, bytes: &[u8; 64]) -> u64;

    /// What an ordinary string ends before: quotes, backslashes, control characters, anything above
    /// 0x7f.
    fn string_ends(self, bytes: &[u8; 64]) -> u64;

    /// Where two blocks are equal.
    fn equal(self, a: &[u8; 64], b: &[u8; 64]) -> u64;

    /// Bit *n* of the result is the parity of bits 0 to *n*.
    #[inline(always)]
    fn prefix_xor(self, mut bits: u64) -> u64 {
        bits ^= bits << 1;
        bits ^= bits << 2;
        bits ^= bits << 4;
        bits ^= bits << 8;
        bits ^= bits << 16;
        bits ^ (bits << 32)
    }
}

/// Eight bytes in a word, eight words a block: runs on any machine, and compilers that have vectors
/// of two or four words turn the eight independent rounds into them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portable;

const ONES: u64 = 0x0101_0101_0101_0101;
const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The high bit of each byte that equals `b`.
#[inline(always)]
const fn equal(word: u64, b: u8) -> u64 {
    let x = word ^ (ONES * b as u64);
    // Exact, without a carry from one byte into the next.
    !(((x & LOW) + LOW) | x) & HIGH
}

/// The high bit of each byte from `from` to `to`, both below 0x80.
#[inline(always)]
const fn within(word: u64, from: u8, to: u8) -> u64 {
    let low = word & LOW;
    let at_least = low + ONES * (0x80 - from as u64);
    let above = low + ONES * (0x7f - to as u64);
    at_least & !above & !word & HIGH
}

/// Gathers the high bits of the eight bytes into the low byte.
#[inline(always)]
const fn gather(word: u64) -> u64 {
    ((word >> 7).wrapping_mul(0x0102_0408_1020_4080)) >> 56
}

/// A byte's bits from words: `f` of each word, gathered.
#[inline(always)]
fn mask(words: &[u64; 8], f: impl Fn(u64) -> u64) -> u64 {
    let mut bits = 0;
    for (n, word) in words.iter().enumerate() {
        bits |= gather(f(*word)) << (8 * n);
    }
    bits
}

#[inline(always)]
fn words(bytes: &[u8; 64]) -> [u64; 8] {
    let (eights, _) = bytes.as_chunks::<8>();
    let mut words = [0; 8];
    for (word, eight) in words.iter_mut().zip(eights) {
        *word = u64::from_le_bytes(*eight);
    }
    words
}

/// Where the quotes of a block are, by what every machine of the kind has.
#[inline]
pub(super) fn quotes(bytes: &[u8; 64]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        super::x86::quotes(bytes)
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        mask(&words(bytes), |w| equal(w, b'"'))
    }
}

impl Block for Portable {
    #[inline(always)]
    fn classes(self, bytes: &[u8; 64]) -> Classes {
        let words = words(bytes);
        let digit = mask(&words, |w| within(w, b'0', b'9'));
        // Letters of both cases at once: 0x20 set makes upper case lower, and nothing else a letter.
        let letter = mask(&words, |w| {
            within(w | (ONES * 0x20), b'a', b'z') | equal(w, b'_')
        });
        Classes {
            newline: mask(&words, |w| equal(w, b'\n')),
            quote: mask(&words, |w| equal(w, b'"')),
            backslash: mask(&words, |w| equal(w, b'\\')),
            space: mask(&words, |w| equal(w, b' ')),
            equals: mask(&words, |w| equal(w, b'=')),
            comma: mask(&words, |w| equal(w, b',')),
            colon: mask(&words, |w| equal(w, b':')),
            digit,
            word: letter | digit,
            high: mask(&words, |w| w & HIGH),
        }
    }

    #[inline(always)]
    fn newlines(self, bytes: &[u8; 64]) -> u64 {
        mask(&words(bytes), |w| equal(w, b'\n'))
    }

    #[inline(always)]
    fn digits(self, bytes: &[u8; 64]) -> u64 {
        mask(&words(bytes), |w| within(w, b'0', b'9'))
    }

    #[inline(always)]
    fn odd_in_help(self, bytes: &[u8; 64]) -> u64 {
        mask(&words(bytes), |w| equal(w, b'\\') | w & HIGH)
    }

    #[inline(always)]
    fn name(self, bytes: &[u8; 64]) -> u64 {
        mask(&words(bytes), |w| {
            within(w | (ONES * 0x20), b'a', b'z') | equal(w, b'_') | within(w, b'0', b':')
        })
    }

    #[inline(always)]
    fn quotes(self, bytes: &[u8; 64]) -> u64 {
        mask(&words(bytes), |w| equal(w, b'"'))
    }

    #[inline(always)]
    fn string_ends(self, bytes: &[u8; 64]) -> u64 {
        mask(&words(bytes), |w| {
            equal(w, b'"') | equal(w, b'\\') | within(w, 0, 0x1f) | w & HIGH
        })
    }

    #[inline(always)]
    fn equal(self, a: &[u8; 64], b: &[u8; 64]) -> u64 {
        let (a, b) = (words(a), words(b));
        let mut differences = [0; 8];
        for (d, (a, b)) in differences.iter_mut().zip(a.iter().zip(&b)) {
            *d = a ^ b;
        }
        mask(&differences, |w| equal(w, 0))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn naive(bytes: &[u8; 64]) -> Classes {
        let mask =
            |f: &dyn Fn(u8) -> bool| bytes.iter().rev().fold(0, |m, b| m << 1 | u64::from(f(*b)));
        Classes {
            newline: mask(&|b| b == b'\n'),
            quote: mask(&|b| b == b'"'),
            backslash: mask(&|b| b == b'\\'),
            space: mask(&|b| b == b' '),
            equals: mask(&|b| b == b'='),
            comma: mask(&|b| b == b','),
            colon: mask(&|b| b == b':'),
            digit: mask(&|b| b.is_ascii_digit()),
            word: mask(&|b| b.is_ascii_alphanumeric() || b == b'_'),
            high: mask(&|b| b >= 0x80),
        }
    }

    /// Every byte at every place of a block, among neighbours that differ from it.
    pub(in crate::exposition::scan) fn agrees_with_naive(block: impl Block) {
        let mut bytes = [0u8; 64];
        for shift in 0..=255u8 {
            for (n, b) in (0u8..).zip(bytes.iter_mut()) {
                *b = n.wrapping_mul(5).wrapping_add(shift);
            }
            let want = naive(&bytes);
            assert_eq!(block.classes(&bytes), want, "{shift}");
            let among = |f: &dyn Fn(u8) -> bool| {
                bytes.iter().rev().fold(0, |m, b| m << 1 | u64::from(f(*b)))
            };
            assert_eq!(block.newlines(&bytes), want.newline, "{shift}");
            assert_eq!(block.digits(&bytes), want.digit, "{shift}");
            let odd = want.backslash | want.high;
            assert_eq!(block.odd_in_help(&bytes), odd, "{shift}");
            let ends = among(&|b| !(b' '..0x80).contains(&b) || b == b'"' || b == b'\\');
            assert_eq!(block.string_ends(&bytes), ends, "{shift}");
            assert_eq!(block.quotes(&bytes), want.quote, "{shift}");
            assert_eq!(block.name(&bytes), want.word | want.colon, "{shift}");
            assert_eq!(quotes(&bytes), want.quote, "{shift}");
            let mut other = bytes;
            let at = usize::from(shift) % 64;
            other[at] ^= shift | 1;
            assert_eq!(block.equal(&bytes, &other), !(1 << at), "{shift}");
            assert_eq!(block.equal(&bytes, &bytes), u64::MAX, "{shift}");
        }
        for bits in [0, 1, 1 << 63, u64::MAX, 0x8421_1248_0f0f_3355, 0b1001_0110] {
            let mut parity = 0;
            let want = (0..64).fold(0, |m, n| {
                parity ^= bits >> n & 1;
                m | parity << n
            });
            assert_eq!(block.prefix_xor(bits), want, "{bits:#x}");
        }
    }

    #[test]
    fn portable_masks_are_right() {
        agrees_with_naive(Portable);
    }
}
