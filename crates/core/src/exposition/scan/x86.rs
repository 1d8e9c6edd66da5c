//! Masks by AVX2 and AVX-512.
//!
//! The types here are proofs: a value of one exists only after the machine was asked, so the
//! instructions may be used wherever it is at hand.

use std::arch::x86_64::*;

use super::block::{Block, Classes};

/// The machine has AVX2, carry-less multiplication and the bit instructions of its age.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

/// The machine has AVX-512 with bytes, carry-less multiplication and the bit instructions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(());

impl Avx2 {
    #[inline]
    pub(super) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("pclmulqdq")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt"))
        .then_some(Self(()))
    }
}

impl Avx512 {
    #[inline]
    pub(super) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("pclmulqdq")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt"))
        .then_some(Self(()))
    }
}

/// Bits of the byte classes that two lookups, by low and high half, find together.
const DIGIT: i8 = 1;
const COLON: i8 = 16;
const WORD: i8 = 1 | 2 | 4 | 8;

/// By the low half: 0 is in rows 3, 5, 7 (`0 P p`), 1 to 9 in all, `a` in `: J Z j z`, `f` in `O _ o`.
#[rustfmt::skip]
const BY_LOW: [i8; 16] = [
    1 | 4 | 8, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD,
    16 | 2 | 4 | 8, 2, 2, 2, 2, 2 | 4,
];
/// By the high half: row 3 has digits and `:`, 4 and 6 letters, 5 letters and `_`, 7 letters.
const BY_HIGH: [i8; 16] = [0, 0, 0, 1 | 16, 2, 4, 2, 8, 0, 0, 0, 0, 0, 0, 0, 0];

/// Parity by multiplication with all ones, without carries.
///
/// # Safety
/// The machine has `pclmulqdq`.
#[inline(always)]
unsafe fn prefix_xor(bits: u64) -> u64 {
    // SAFETY: the caller's; the instructions touch registers only.
    unsafe {
        let product =
            _mm_clmulepi64_si128::<0>(_mm_cvtsi64_si128(bits.cast_signed()), _mm_set1_epi8(-1));
        _mm_cvtsi128_si64(product).cast_unsigned()
    }
}

impl Block for Avx512 {
    #[inline(always)]
    fn classes(self, bytes: &[u8; 64]) -> Classes {
        // SAFETY: `self` proves the instructions; the load reads the 64 bytes of the array.
        unsafe {
            let v = _mm512_loadu_si512(bytes.as_ptr().cast());
            let is = |b: u8| _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(b.cast_signed()));
            let by_low = _mm512_broadcast_i32x4(_mm_loadu_si128(BY_LOW.as_ptr().cast()));
            let by_high = _mm512_broadcast_i32x4(_mm_loadu_si128(BY_HIGH.as_ptr().cast()));
            let half = _mm512_set1_epi8(0x0f);
            let low = _mm512_shuffle_epi8(by_low, _mm512_and_si512(v, half));
            let high_half = _mm512_and_si512(_mm512_srli_epi16::<4>(v), half);
            let class = _mm512_and_si512(low, _mm512_shuffle_epi8(by_high, high_half));
            let has = |bits: i8| _mm512_test_epi8_mask(class, _mm512_set1_epi8(bits));
            Classes {
                newline: is(b'\n'),
                quote: is(b'"'),
                backslash: is(b'\\'),
                space: is(b' '),
                equals: is(b'='),
                comma: is(b','),
                colon: has(COLON),
                digit: has(DIGIT),
                word: has(WORD),
                high: _mm512_movepi8_mask(v),
            }
        }
    }

    #[inline(always)]
    fn newlines(self, bytes: &[u8; 64]) -> u64 {
        // SAFETY: `self` proves the instructions; the load reads the 64 bytes of the array.
        unsafe {
            let v = _mm512_loadu_si512(bytes.as_ptr().cast());
            _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(b'\n'.cast_signed()))
        }
    }

    #[inline(always)]
    fn digits(self, bytes: &[u8; 64]) -> u64 {
        // SAFETY: `self` proves the instructions; the load reads the 64 bytes of the array.
        unsafe {
            let v = _mm512_loadu_si512(bytes.as_ptr().cast());
            let from_zero = _mm512_sub_epi8(v, _mm512_set1_epi8(b'0'.cast_signed()));
            _mm512_cmple_epu8_mask(from_zero, _mm512_set1_epi8(9))
        }
    }

    #[inline(always)]
    fn odd_in_help(self, bytes: &[u8; 64]) -> u64 {
        // SAFETY: `self` proves the instructions; the load reads the 64 bytes of the array.
        unsafe {
            let v = _mm512_loadu_si512(bytes.as_ptr().cast());
            _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(b'\\'.cast_signed()))
                | _mm512_movepi8_mask(v)
        }
    }

    #[inline(always)]
    fn name(self, bytes: &[u8; 64]) -> u64 {
        // SAFETY: `self` proves the instructions; the loads read the 64 bytes of the array and the 16 of
        // the tables.
        unsafe {
            let v = _mm512_loadu_si512(bytes.as_ptr().cast());
            let by_low = _mm512_broadcast_i32x4(_mm_loadu_si128(BY_LOW.as_ptr().cast()));
            let by_high = _mm512_broadcast_i32x4(_mm_loadu_si128(BY_HIGH.as_ptr().cast()));
            let half = _mm512_set1_epi8(0x0f);
            let low = _mm512_shuffle_epi8(by_low, _mm512_and_si512(v, half));
            let high_half = _mm512_and_si512(_mm512_srli_epi16::<4>(v), half);
            _mm512_test_epi8_mask(low, _mm512_shuffle_epi8(by_high, high_half))
        }
    }

    #[inline(always)]
    fn quotes(self, bytes: &[u8; 64]) -> u64 {
        // SAFETY: `self` proves the instructions; the load reads the 64 bytes of the array.
        unsafe {
            let v = _mm512_loadu_si512(bytes.as_ptr().cast());
            _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(b'"'.cast_signed()))
        }
    }

    #[inline(always)]
    fn string_ends(self, bytes: &[u8; 64]) -> u64 {
        // SAFETY: `self` proves the instructions; the load reads the 64 bytes of the array.
        unsafe {
            let v = _mm512_loadu_si512(bytes.as_ptr().cast());
            let is = |b: u8| _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(b.cast_signed()));
            is(b'"') | is(b'\\') | _mm512_cmplt_epi8_mask(v, _mm512_set1_epi8(b' '.cast_signed()))
        }
    }

    #[inline(always)]
    fn equal(self, a: &[u8; 64], b: &[u8; 64]) -> u64 {
        // SAFETY: `self` proves the instructions; the loads read the 64 bytes of each array.
        unsafe {
            _mm512_cmpeq_epi8_mask(
                _mm512_loadu_si512(a.as_ptr().cast()),
                _mm512_loadu_si512(b.as_ptr().cast()),
            )
        }
    }

    #[inline(always)]
    fn prefix_xor(self, bits: u64) -> u64 {
        // SAFETY: `self` proves the instruction.
        unsafe { prefix_xor(bits) }
    }
}

/// The sign bits of 64 bytes in two halves.
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn signs(a: __m256i, b: __m256i) -> u64 {
    // SAFETY: the caller's; the instructions touch registers only.
    let (a, b) = unsafe { (_mm256_movemask_epi8(a), _mm256_movemask_epi8(b)) };
    u64::from(a.cast_unsigned()) | u64::from(b.cast_unsigned()) << 32
}

/// The two halves of a block.
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn halves(bytes: &[u8; 64]) -> (__m256i, __m256i) {
    let (halves, _) = bytes.as_chunks::<32>();
    // SAFETY: the caller's for the instructions; each load reads the 32 bytes of one half.
    unsafe {
        (
            _mm256_loadu_si256(halves[0].as_ptr().cast()),
            _mm256_loadu_si256(halves[1].as_ptr().cast()),
        )
    }
}

/// Where the bytes of both halves are `b`. (A function, not a closure: closures that hold
/// instructions of features are not inlined.)
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn is((low, high): (__m256i, __m256i), b: u8) -> u64 {
    // SAFETY: the caller's; the instructions touch registers only.
    unsafe {
        let b = _mm256_set1_epi8(b.cast_signed());
        signs(_mm256_cmpeq_epi8(low, b), _mm256_cmpeq_epi8(high, b))
    }
}

/// Where the bytes of both halves are below `b`, as signed numbers: so are those above 0x7f.
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn below((low, high): (__m256i, __m256i), b: u8) -> u64 {
    // SAFETY: the caller's; the instructions touch registers only.
    unsafe {
        let b = _mm256_set1_epi8(b.cast_signed());
        signs(_mm256_cmpgt_epi8(b, low), _mm256_cmpgt_epi8(b, high))
    }
}

/// Where the classes of both halves have one of `bits`.
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn has((low, high): (__m256i, __m256i), bits: i8) -> u64 {
    // SAFETY: the caller's; the instructions touch registers only.
    unsafe {
        let (bits, zero) = (_mm256_set1_epi8(bits), _mm256_setzero_si256());
        !signs(
            _mm256_cmpeq_epi8(_mm256_and_si256(low, bits), zero),
            _mm256_cmpeq_epi8(_mm256_and_si256(high, bits), zero),
        )
    }
}

/// The classes of 32 bytes.
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn class(v: __m256i) -> __m256i {
    // SAFETY: the caller's for the instructions; the loads read the 16 bytes of the arrays.
    unsafe {
        let by_low = _mm256_broadcastsi128_si256(_mm_loadu_si128(BY_LOW.as_ptr().cast()));
        let by_high = _mm256_broadcastsi128_si256(_mm_loadu_si128(BY_HIGH.as_ptr().cast()));
        let half = _mm256_set1_epi8(0x0f);
        let low = _mm256_shuffle_epi8(by_low, _mm256_and_si256(v, half));
        let high_half = _mm256_and_si256(_mm256_srli_epi16::<4>(v), half);
        _mm256_and_si256(low, _mm256_shuffle_epi8(by_high, high_half))
    }
}

impl Block for Avx2 {
    #[inline(always)]
    fn classes(self, bytes: &[u8; 64]) -> Classes {
        // SAFETY: `self` proves the instructions, here and in the functions called.
        unsafe {
            let v = halves(bytes);
            let classes = (class(v.0), class(v.1));
            Classes {
                newline: is(v, b'\n'),
                quote: is(v, b'"'),
                backslash: is(v, b'\\'),
                space: is(v, b' '),
                equals: is(v, b'='),
                comma: is(v, b','),
                colon: is(v, b':'),
                digit: has(classes, DIGIT),
                word: has(classes, WORD),
                high: signs(v.0, v.1),
            }
        }
    }

    #[inline(always)]
    fn newlines(self, bytes: &[u8; 64]) -> u64 {
        // SAFETY: `self` proves the instructions, here and in the functions called.
        unsafe { is(halves(bytes), b'\n') }
    }

    #[inline(always)]
    fn digits(self, bytes: &[u8; 64]) -> u64 {
        // SAFETY: `self` proves the instructions, here and in the functions called.
        unsafe {
            let v = halves(bytes);
            let (zero, nine) = (_mm256_set1_epi8(b'0'.cast_signed()), _mm256_set1_epi8(9));
            let (low, high) = (_mm256_sub_epi8(v.0, zero), _mm256_sub_epi8(v.1, zero));
            signs(
                _mm256_cmpeq_epi8(_mm256_min_epu8(low, nine), low),
                _mm256_cmpeq_epi8(_mm256_min_epu8(high, nine), high),
            )
        }
    }

    #[inline(always)]
    fn odd_in_help(self, bytes: &[u8; 64]) -> u64 {
        // SAFETY: `self` proves the instructions, here and in the functions called.
        unsafe {
            let v = halves(bytes);
            is(v, b'\\') | signs(v.0, v.1)
        }
    }

    #[inline(always)]
    fn name(self, bytes: &[u8; 64]) -> u64 {
        // SAFETY: `self` proves the instructions, here and in the functions called.
        unsafe {
            let v = halves(bytes);
            has((class(v.0), class(v.1)), WORD | COLON)
        }
    }

    #[inline(always)]
    fn quotes(self, bytes: &[u8; 64]) -> u64 {
        // SAFETY: `self` proves the instructions, here and in the functions called.
        unsafe { is(halves(bytes), b'"') }
    }

    #[inline(always)]
    fn string_ends(self, bytes: &[u8; 64]) -> u64 {
        // SAFETY: `self` proves the instructions, here and in the functions called.
        unsafe {
            let v = halves(bytes);
            is(v, b'"') | is(v, b'\\') | below(v, b' ')
        }
    }

    #[inline(always)]
    fn equal(self, a: &[u8; 64], b: &[u8; 64]) -> u64 {
        // SAFETY: `self` proves the instructions, here and in the functions called.
        unsafe {
            let (a, b) = (halves(a), halves(b));
            signs(_mm256_cmpeq_epi8(a.0, b.0), _mm256_cmpeq_epi8(a.1, b.1))
        }
    }

    #[inline(always)]
    fn prefix_xor(self, bits: u64) -> u64 {
        // SAFETY: `self` proves the instruction.
        unsafe { prefix_xor(bits) }
    }
}

/// Where the quotes of a block are, by SSE2, which every machine of this kind has.
#[inline]
pub(super) fn quotes(bytes: &[u8; 64]) -> u64 {
    let (quarters, _) = bytes.as_chunks::<16>();
    let mut bits = 0;
    for (n, quarter) in quarters.iter().enumerate() {
        // SAFETY: the instructions are of the base set; the load reads the 16 bytes of the quarter.
        let mask = unsafe {
            let v = _mm_loadu_si128(quarter.as_ptr().cast());
            _mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8(b'"'.cast_signed())))
        };
        bits |= u64::from(mask.cast_unsigned()) << (16 * n);
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::super::block::tests::agrees_with_naive;
    use super::*;

    #[test]
    fn vector_masks_are_right_where_the_machine_has_them() {
        if let Some(block) = Avx2::detect() {
            agrees_with_naive(block);
        }
        if let Some(block) = Avx512::detect() {
            agrees_with_naive(block);
        }
    }
}
