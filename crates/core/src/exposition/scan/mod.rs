//! The structural pass: a line in the form that every exporter writes is found, validated and taken
//! apart with a few masks a 64 bytes, without looking at bytes one by one.
//!
//! [`plain`](super::plain) is the grammar; this is a faster way to the same answer for the lines
//! where the answer is easy. [`Lines`] either gives the entry that `plain` would give, or none,
//! and then `plain` is asked: for anything out of the ordinary, every error, and whatever is rare
//! enough that speed does not matter. So a variant can differ from `plain` in one way only, by
//! taking a line and giving another entry for it; the tests and a fuzz target hold all of them to it.
//!
//! # Unsafe code
//!
//! All of the crate's is in this folder, for three reasons, each with one contract:
//!
//! - *Instructions.* A function marked with target features runs only on a machine that has them.
//!   [`Variant`] can name a variant only if [`Variant::available`] gave it, which asks the machine;
//!   the token types of `x86` stand for that answer.
//! - *Slices of text.* The masks say where in checked UTF-8 the quotes, commas and braces are, which
//!   are ASCII, so cutting there is cutting at character boundaries, within bounds. The types of
//!   `marked` keep text and marks together, so that no others can be used for cutting; so do the
//!   records of `line`, which never leave the page they were found in.
//! - *Blocks.* `window` hands out the 64 bytes from a place, after one comparison with the last place
//!   that has so many.
//!
//! The safe twins are `plain` and, for cutting, the scan in [`Labels`](super::Labels); the variant
//! [`Variant::Portable`] has the same logic without the instructions; that of a block is said beside it.
#![expect(unsafe_code, reason = "the one audited module: see its documentation")]

mod block;
pub(crate) mod compare;
mod distinct;
mod line;
pub(crate) mod marked;
mod metadata;
mod reading;
mod repeat;
mod series;
mod window;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use line::Lines;

/// Which implementation reads the lines. All give the same entries and errors.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Variant {
    /// Byte at a time: the oracle.
    Plain,
    /// Masks by arithmetic on 64-bit words; any machine.
    Portable,
    /// 32 bytes at a time.
    Avx2,
    /// 64 bytes at a time.
    Avx512,
}

impl Variant {
    /// Every variant this machine can run, slowest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut variants = vec![Self::Plain, Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if x86::Avx2::detect().is_some() {
                variants.push(Self::Avx2);
            }
            if x86::Avx512::detect().is_some() {
                variants.push(Self::Avx512);
            }
        }
        variants
    }
}

/// A variant that this machine can run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Machine {
    Plain,
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(x86::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(x86::Avx512),
}

impl Machine {
    /// The fastest one here.
    #[inline]
    pub(crate) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(token) = x86::Avx512::detect() {
                return Self::Avx512(token);
            }
            if let Some(token) = x86::Avx2::detect() {
                return Self::Avx2(token);
            }
        }
        Self::Portable
    }

    /// The one asked for, or the portable one where the machine cannot run it.
    pub(crate) fn of(variant: Variant) -> Self {
        match variant {
            Variant::Plain => Self::Plain,
            #[cfg(target_arch = "x86_64")]
            Variant::Avx2 => x86::Avx2::detect().map_or(Self::Portable, Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            Variant::Avx512 => x86::Avx512::detect().map_or(Self::Portable, Self::Avx512),
            _ => Self::Portable,
        }
    }
}
