//! What limits a GPU: its memory, its arithmetic, neither, or nothing to do.
//!
//! The judgement needs counters of the hardware (GPM: Hopper and later). *DRAM pressure* is the
//! fraction of the peak DRAM bandwidth in use. *Arithmetic pressure* is the busiest of the pipes:
//! tensor cores, FP64, FP32, FP16, integer. SM activity only tells work from idleness: a warp that
//! waits for memory keeps its multiprocessor active, so it proves neither.
//!
//! | state | when |
//! | --- | --- |
//! | `idle` | SM activity and DRAM pressure are both below [`idle_below`](BoundThresholds::idle_below) |
//! | `memory` | DRAM pressure reaches its threshold, arithmetic pressure does not |
//! | `compute` | arithmetic pressure reaches its threshold, DRAM pressure does not |
//! | `balanced` | both reach theirs, or neither does: no single resource is the limit |
//! | `unknown` | the counters are not there |
//!
//! `balanced` with both far below their thresholds is work that waits for something else: launch
//! latency, the host, the network, small batches.

use crate::device::{Numbers, Quantity};

/// Where the judgement draws its lines, as ratios from 0 to 1.
///
/// The defaults follow what well-tuned kernels reach: copies stream at 85 to 95 % of the DRAM peak and
/// dense matrix products keep the tensor pipe at 60 to 80 %, so a resource that is 60 % or 50 % busy
/// over a whole sampling period is close to being the limit. Lower them for short or mixed work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoundThresholds {
    /// Below this SM activity and DRAM pressure the GPU counts as idle. Default 0.05.
    pub idle_below: f64,
    /// DRAM pressure from here on is a memory limit. Default 0.6.
    pub memory_from: f64,
    /// Arithmetic pressure from here on is a compute limit. Default 0.5.
    pub compute_from: f64,
    /// `gpu_vram_full_compute_low`: VRAM above this part of the total. Default 0.9.
    pub vram_above: f64,
    /// `gpu_vram_full_compute_low`: compute utilization below this. Default 0.5.
    pub utilization_below: f64,
}

impl Default for BoundThresholds {
    fn default() -> Self {
        Self {
            idle_below: 0.05,
            memory_from: 0.6,
            compute_from: 0.5,
            vram_above: 0.9,
            utilization_below: 0.5,
        }
    }
}

impl BoundThresholds {
    /// Whether every threshold is a ratio.
    pub(crate) fn are_ratios(&self) -> bool {
        [
            self.idle_below,
            self.memory_from,
            self.compute_from,
            self.vram_above,
            self.utilization_below,
        ]
        .iter()
        .all(|ratio| (0.0..=1.0).contains(ratio))
    }
}

/// What limits a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BoundState {
    /// Its DRAM bandwidth.
    Memory,
    /// Its arithmetic.
    Compute,
    /// Nothing to do.
    Idle,
    /// Both alike, or neither.
    Balanced,
    /// The card has no counters to tell.
    Unknown,
}

impl BoundState {
    /// All states, in the order of the page.
    pub const ALL: [Self; 5] = [
        Self::Memory,
        Self::Compute,
        Self::Idle,
        Self::Balanced,
        Self::Unknown,
    ];

    /// The label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Compute => "compute",
            Self::Idle => "idle",
            Self::Balanced => "balanced",
            Self::Unknown => "unknown",
        }
    }

    /// Judges one sample of GPM counters (in percent, as the driver says them).
    ///
    /// ```
    /// use tokenpath_gpu::bound::{BoundState, BoundThresholds};
    /// use tokenpath_gpu::device::{Numbers, Quantity};
    ///
    /// let mut decode = Numbers::default();
    /// decode.put(Quantity::GpmSmActive, 92.0);
    /// decode.put(Quantity::GpmDramBandwidth, 78.0);
    /// decode.put(Quantity::GpmTensor, 12.0);
    /// let state = BoundState::of(&decode, &BoundThresholds::default());
    /// assert_eq!(state, BoundState::Memory);
    /// ```
    #[must_use]
    pub fn of(numbers: &Numbers, thresholds: &BoundThresholds) -> Self {
        let ratio = |quantity| numbers.get(quantity).map(|percent| percent / 100.0);
        let arithmetic = PIPES.into_iter().filter_map(ratio).reduce(f64::max);
        let (Some(dram), Some(arithmetic)) = (ratio(Quantity::GpmDramBandwidth), arithmetic) else {
            return Self::Unknown;
        };
        let active = ratio(Quantity::GpmSmActive).unwrap_or(arithmetic);
        if active < thresholds.idle_below && dram < thresholds.idle_below {
            return Self::Idle;
        }
        match (
            dram >= thresholds.memory_from,
            arithmetic >= thresholds.compute_from,
        ) {
            (true, false) => Self::Memory,
            (false, true) => Self::Compute,
            (true, true) | (false, false) => Self::Balanced,
        }
    }
}

/// The pipes whose busiest one is the arithmetic pressure.
const PIPES: [Quantity; 5] = [
    Quantity::GpmTensor,
    Quantity::GpmFp64,
    Quantity::GpmFp32,
    Quantity::GpmFp16,
    Quantity::GpmInteger,
];

/// The rule of thumb "VRAM nearly full while compute is low". `None` where either is not known.
#[must_use]
pub(crate) fn vram_full_compute_low(
    numbers: &Numbers,
    thresholds: &BoundThresholds,
) -> Option<bool> {
    let used = numbers.get(Quantity::MemoryUsed)?;
    let total = numbers
        .get(Quantity::MemoryTotal)
        .filter(|total| *total > 0.0)?;
    let utilization = numbers.get(Quantity::UtilizationGpu)? / 100.0;
    Some(used / total > thresholds.vram_above && utilization < thresholds.utilization_below)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(
        sm: Option<f64>,
        dram: Option<f64>,
        tensor: Option<f64>,
        fp32: Option<f64>,
    ) -> BoundState {
        let mut numbers = Numbers::default();
        for (quantity, percent) in [
            (Quantity::GpmSmActive, sm),
            (Quantity::GpmDramBandwidth, dram),
            (Quantity::GpmTensor, tensor),
            (Quantity::GpmFp32, fp32),
        ] {
            if let Some(percent) = percent {
                numbers.put(quantity, percent);
            }
        }
        BoundState::of(&numbers, &BoundThresholds::default())
    }

    #[test]
    fn states_follow_the_table() {
        for (sm, dram, tensor, fp32, state) in [
            (Some(0.0), Some(0.1), Some(0.0), None, BoundState::Idle),
            (Some(95.0), Some(80.0), Some(10.0), None, BoundState::Memory),
            (Some(95.0), Some(60.0), Some(49.9), None, BoundState::Memory),
            (
                Some(95.0),
                Some(30.0),
                Some(70.0),
                None,
                BoundState::Compute,
            ),
            (
                Some(95.0),
                Some(30.0),
                Some(1.0),
                Some(90.0),
                BoundState::Compute,
            ),
            (
                Some(95.0),
                Some(70.0),
                Some(70.0),
                None,
                BoundState::Balanced,
            ),
            (
                Some(40.0),
                Some(20.0),
                Some(10.0),
                None,
                BoundState::Balanced,
            ),
            // A copy engine at work: no SM is active, and the memory is not idle.
            (Some(0.0), Some(70.0), Some(0.0), None, BoundState::Memory),
            (None, Some(1.0), Some(2.0), None, BoundState::Idle),
            (Some(95.0), None, Some(10.0), None, BoundState::Unknown),
            (Some(95.0), Some(10.0), None, None, BoundState::Unknown),
            (None, None, None, None, BoundState::Unknown),
        ] {
            assert_eq!(
                judge(sm, dram, tensor, fp32),
                state,
                "{sm:?} {dram:?} {tensor:?} {fp32:?}"
            );
        }
    }

    #[test]
    fn the_rule_of_thumb_needs_all_three_numbers() {
        let mut numbers = Numbers::default();
        let thresholds = BoundThresholds::default();
        numbers.put_u64(Quantity::MemoryUsed, 91);
        assert_eq!(vram_full_compute_low(&numbers, &thresholds), None);
        numbers.put_u64(Quantity::MemoryTotal, 100);
        numbers.put_u32(Quantity::UtilizationGpu, 49);
        assert_eq!(vram_full_compute_low(&numbers, &thresholds), Some(true));
        numbers.put_u32(Quantity::UtilizationGpu, 50);
        assert_eq!(vram_full_compute_low(&numbers, &thresholds), Some(false));
        numbers.put_u32(Quantity::UtilizationGpu, 0);
        numbers.put_u64(Quantity::MemoryUsed, 90);
        assert_eq!(
            vram_full_compute_low(&numbers, &thresholds),
            Some(false),
            "above, not at"
        );
        numbers.put_u64(Quantity::MemoryTotal, 0);
        assert_eq!(vram_full_compute_low(&numbers, &thresholds), None);
    }
}
