//! The bucket edges that any spoken release uses, as one union per kind of quantity.
//!
//! The twin counts each observation once, on the union. The bucket of any release is then an
//! exact sum of ours, and two releases agree at every edge that both have. A page whose layout
//! asks for an edge that is missing here is refused when the layout is read; a test reads them all.

/// Seconds: time to first token, inter-token, request phases, HTTP durations.
pub(crate) static SECONDS: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.025, 0.04, 0.05, 0.06, 0.075, 0.08, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4,
    0.5, 0.75, 0.8, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 40.0,
    50.0, 60.0, 80.0, 120.0, 160.0, 240.0, 480.0, 640.0, 960.0, 1920.0, 2560.0, 7680.0,
];

/// Counts: tokens (1-2-5 series), tokens of a step (powers of two, and the CUDA graph sizes that
/// releases before 0.8.5 use), sequences, preemptions.
pub(crate) static COUNTS: &[f64] = &[
    1.0, 2.0, 3.0, 4.0, 5.0, 8.0, 10.0, 16.0, 20.0, 24.0, 32.0, 40.0, 48.0, 50.0, 56.0, 64.0,
    100.0, 128.0, 200.0, 256.0, 500.0, 512.0, 1000.0, 1024.0, 2000.0, 2048.0, 4096.0, 5000.0,
    8192.0, 10_000.0, 16_384.0, 20_000.0, 50_000.0, 100_000.0, 131_072.0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_rise() {
        for edges in [SECONDS, COUNTS] {
            assert!(edges.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
