//! Random numbers whose stream is part of the twin's contract.
//!
//! A seed must give the same pages for ever, so that a golden page or a reported failure can be
//! replayed. The general-purpose crates do not promise their streams across versions, and the
//! three distributions needed here are a few lines each: SplitMix64 (Steele, Lea, Flood, 2014)
//! for the bits, inversion for the exponential, Box–Muller for the normal.

use std::f64::consts::TAU;

/// A SplitMix64 generator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// The generator of `seed`, on its own `stream`: two streams of one seed do not overlap in
    /// practice, so that adding a draw in one place does not shift the draws of another.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut mixer = Self {
            state: seed ^ stream.wrapping_mul(0xA076_1D64_78BD_642F),
        };
        Self {
            state: mixer.next_u64(),
        }
    }

    fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        // 53 bits fill the significand of a double: no rounding.
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact in f64")]
        let bits = (self.next_u64() >> 11) as f64;
        bits / 9_007_199_254_740_992.0
    }

    /// True with `probability`.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Uniform integer in `0..n`; 0 where `n` is 0.
    pub(crate) fn below(&mut self, n: u32) -> u32 {
        // Multiply-shift: the bias is at most n / 2^32, far below what a simulation can show.
        u32::try_from(((self.next_u64() >> 32) * u64::from(n)) >> 32).unwrap_or(0)
    }

    /// Puts `items` in any order, all being equally likely.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let n = u32::try_from(last + 1).unwrap_or(u32::MAX);
            items.swap(last, self.below(n) as usize);
        }
    }

    /// Exponential with `mean`.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// Log-normal with the given `median` and `sigma` (standard deviation of the logarithm).
    pub(crate) fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let normal = radius * (TAU * self.unit()).cos();
        median * (sigma * normal).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_of_a_seed_never_changes() {
        let mut random = Random { state: 1_234_567 };
        // First outputs of the reference implementation for this state.
        assert_eq!(random.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(random.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn distributions_have_their_means() {
        let mut random = Random::new(1, 0);
        let n = 200_000_u32;
        let mut exponential = 0.0;
        let mut log = 0.0;
        let mut unit = 0.0;
        for _ in 0..n {
            exponential += random.exponential(2.5);
            log += random.log_normal(3.0, 0.7).ln();
            unit += random.unit();
        }
        let n = f64::from(n);
        assert!((exponential / n - 2.5).abs() < 0.03);
        assert!((log / n - 3.0_f64.ln()).abs() < 0.01);
        assert!((unit / n - 0.5).abs() < 0.005);
    }

    #[test]
    fn streams_differ() {
        assert_ne!(
            Random::new(7, 0).next_u64(),
            Random::new(7, 1).next_u64(),
            "streams of one seed"
        );
        assert!((0..100).all(|_| Random::new(7, 0).below(3) < 3));
    }
}
