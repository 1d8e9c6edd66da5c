//! Are these bytes those bytes, and where do lines end? The two questions that are asked of lines which
//! need not be taken apart.
//!
//! The answers are needed for about a hundred bytes at a time, where a call of `memcmp` or `memchr`
//! costs more than the work. A [`Task`] is compiled once for each machine, with the comparison inlined;
//! [`dispatch`] takes the one for the machine at hand.
//!
//! The safe twin is [`Portable`], which compares slices. All give the same answers.

use super::Machine;
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512};

/// Bytes behind the compared ones that a comparison may load, and ignore.
pub(crate) const SLACK: usize = 64;

/// How bytes are compared.
pub(crate) trait Compare: Copy {
    /// Whether the first `length` bytes are equal. Both slices are at least [`SLACK`] longer than
    /// that; where one is not, the answer is right too, and slow.
    fn same(self, a: &[u8], b: &[u8], length: usize) -> bool;

    /// Where the ends of lines are, and what decides whether a newline is one.
    fn marks(self, block: &[u8; 64]) -> Marks;
}

/// Which of 64 bytes are what: bit *n* is byte *n*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) newline: u64,
    pub(crate) quote: u64,
    pub(crate) backslash: u64,
}

/// Work whose inner loop compares.
pub(crate) trait Task {
    type Output;

    /// Must be `#[inline(always)]`, so that it is compiled for the machine of the comparison.
    fn run(self, compare: impl Compare) -> Self::Output;
}

/// Runs a task with the comparison of a machine.
#[inline(always)]
pub(crate) fn dispatch<T: Task>(machine: Machine, task: T) -> T::Output {
    match machine {
        Machine::Plain | Machine::Portable => task.run(Portable),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the token proves the features that the function is compiled with.
        Machine::Avx2(token) => unsafe { avx2(token, task) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the token proves the features that the function is compiled with.
        Machine::Avx512(token) => unsafe { avx512(token, task) },
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(never)]
#[target_feature(enable = "avx2,pclmulqdq")]
fn avx2<T: Task>(token: Avx2, task: T) -> T::Output {
    task.run(token)
}

#[cfg(target_arch = "x86_64")]
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,pclmulqdq,bmi1,bmi2,lzcnt,popcnt")]
fn avx512<T: Task>(token: Avx512, task: T) -> T::Output {
    task.run(token)
}

/// Slices compared as slices.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

impl Compare for Portable {
    #[inline(always)]
    fn same(self, a: &[u8], b: &[u8], length: usize) -> bool {
        match (a.get(..length), b.get(..length)) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        }
    }

    #[inline(always)]
    fn marks(self, block: &[u8; 64]) -> Marks {
        let mut marks = Marks::default();
        for (shift, word) in (0..64).step_by(8).zip(block.as_chunks::<8>().0) {
            let word = u64::from_le_bytes(*word);
            marks.newline |= equal(word, b'\n') << shift;
            marks.quote |= equal(word, b'"') << shift;
            marks.backslash |= equal(word, b'\\') << shift;
        }
        marks
    }
}

/// Which of eight bytes are `byte`, as the low eight bits.
#[inline(always)]
const fn equal(word: u64, byte: u8) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let x = word ^ (ONES * byte as u64);
    // The high bit of each byte that is zero, without a carry from one into the next.
    let zero = !(((x & (ONES * 0x7f)) + ONES * 0x7f) | x) & (ONES << 7);
    ((zero >> 7).wrapping_mul(0x0102_0408_1020_4080)) >> 56
}

/// The bytes of a block that belong to the first `length`, as a mask; `length` is below 64.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
const fn below(length: usize) -> u64 {
    (1 << length) - 1
}

#[cfg(target_arch = "x86_64")]
impl Compare for Avx512 {
    #[inline(always)]
    fn same(self, a: &[u8], b: &[u8], length: usize) -> bool {
        use std::arch::x86_64::*;
        if a.len().min(b.len()) < length + SLACK {
            return Portable.same(a, b, length);
        }
        // The bytes that differ among the 64 from `at`.
        let differ = |at: usize| {
            debug_assert!(at + 64 <= a.len() && at + 64 <= b.len());
            // SAFETY: `self` proves the instructions; every use below has `at + 64 <= length + SLACK`,
            // which both slices have.
            unsafe {
                let a = _mm512_loadu_si512(a.as_ptr().add(at).cast());
                let b = _mm512_loadu_si512(b.as_ptr().add(at).cast());
                _mm512_cmpneq_epi8_mask(a, b)
            }
        };
        if length < 64 {
            return differ(0) & below(length) == 0;
        }
        // The last block overlaps the one before it.
        let mut found = differ(0) | differ(length - 64);
        let mut at = 64;
        while at + 64 < length {
            found |= differ(at);
            at += 64;
        }
        found == 0
    }

    #[inline(always)]
    fn marks(self, block: &[u8; 64]) -> Marks {
        use std::arch::x86_64::*;
        // SAFETY: `self` proves the instructions; the load reads the 64 bytes of the array.
        unsafe {
            let bytes = _mm512_loadu_si512(block.as_ptr().cast());
            let is = |b: u8| _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(b.cast_signed()));
            Marks {
                newline: is(b'\n'),
                quote: is(b'"'),
                backslash: is(b'\\'),
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Compare for Avx2 {
    #[inline(always)]
    fn same(self, a: &[u8], b: &[u8], length: usize) -> bool {
        use std::arch::x86_64::*;
        if a.len().min(b.len()) < length + SLACK {
            return Portable.same(a, b, length);
        }
        // The bytes that are equal among the 32 from `at`.
        let equal = |at: usize| {
            debug_assert!(at + 32 <= a.len() && at + 32 <= b.len());
            // SAFETY: `self` proves the instructions; every use below has `at + 32 <= length + SLACK`,
            // which both slices have.
            unsafe {
                let a = _mm256_loadu_si256(a.as_ptr().add(at).cast());
                let b = _mm256_loadu_si256(b.as_ptr().add(at).cast());
                _mm256_movemask_epi8(_mm256_cmpeq_epi8(a, b)).cast_unsigned()
            }
        };
        if length < 32 {
            return u64::from(!equal(0)) & below(length) == 0;
        }
        // The last block overlaps the one before it.
        let mut found = equal(0) & equal(length - 32);
        let mut at = 32;
        while at + 32 < length {
            found &= equal(at);
            at += 32;
        }
        found == u32::MAX
    }

    #[inline(always)]
    fn marks(self, block: &[u8; 64]) -> Marks {
        use std::arch::x86_64::*;
        let (halves, _) = block.as_chunks::<32>();
        // SAFETY: `self` proves the instructions; each load reads the 32 bytes of one half.
        unsafe {
            let low = _mm256_loadu_si256(halves[0].as_ptr().cast());
            let high = _mm256_loadu_si256(halves[1].as_ptr().cast());
            let is = |b: u8| {
                let b = _mm256_set1_epi8(b.cast_signed());
                let low = _mm256_movemask_epi8(_mm256_cmpeq_epi8(low, b)).cast_unsigned();
                let high = _mm256_movemask_epi8(_mm256_cmpeq_epi8(high, b)).cast_unsigned();
                u64::from(low) | u64::from(high) << 32
            };
            Marks {
                newline: is(b'\n'),
                quote: is(b'"'),
                backslash: is(b'\\'),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Variant;
    use super::*;

    struct MarksOf<'a>(&'a [u8; 64]);

    impl Task for MarksOf<'_> {
        type Output = Marks;

        #[inline(always)]
        fn run(self, compare: impl Compare) -> Marks {
            compare.marks(self.0)
        }
    }

    #[test]
    fn every_machine_finds_the_same_marks() {
        let mut block = [0; 64];
        for shift in 0..=255u8 {
            for (n, byte) in (0u8..).zip(block.iter_mut()) {
                *byte = n.wrapping_mul(7).wrapping_add(shift);
            }
            let naive = |want: u8| {
                block
                    .iter()
                    .rev()
                    .fold(0, |mask, byte| mask << 1 | u64::from(*byte == want))
            };
            let want = Marks {
                newline: naive(b'\n'),
                quote: naive(b'"'),
                backslash: naive(b'\\'),
            };
            for variant in Variant::available() {
                assert_eq!(
                    dispatch(Machine::of(variant), MarksOf(&block)),
                    want,
                    "{variant:?}"
                );
            }
        }
    }

    struct Same<'a>(&'a [u8], &'a [u8], usize);

    impl Task for Same<'_> {
        type Output = bool;

        #[inline(always)]
        fn run(self, compare: impl Compare) -> bool {
            compare.same(self.0, self.1, self.2)
        }
    }

    #[test]
    fn every_machine_sees_every_difference_and_nothing_behind_the_end() {
        let a: Vec<u8> = (0..=255).cycle().take(400).collect();
        for variant in Variant::available() {
            let machine = Machine::of(variant);
            for length in 0..=200 {
                // With room behind and without.
                for end in [a.len(), length + 10, length] {
                    let mut b = a.clone();
                    let same = |b: &[u8]| dispatch(machine, Same(&a[..end], &b[..end], length));
                    assert!(same(&b), "{variant:?} {length}");
                    for at in [0, length / 2, length.saturating_sub(1), length, length + 5] {
                        b[at] ^= 0x80;
                        assert_eq!(same(&b), at >= length, "{variant:?} {length} {at}");
                        b[at] ^= 0x80;
                    }
                }
                let short = &a[..length.saturating_sub(1)];
                let same = dispatch(machine, Same(&a, short, length));
                assert_eq!(
                    same,
                    length == 0,
                    "a slice that is too short is not the same"
                );
            }
        }
    }
}
