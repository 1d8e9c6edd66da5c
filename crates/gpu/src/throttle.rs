//! The reasons that hold clocks down, as NVML's bits and as label values.

/// A reason: its bit in `nvmlDeviceGetCurrentClocksEventReasons` and its label value.
pub(crate) const REASONS: [(u64, &str); 9] = [
    (0x001, "idle"),
    (0x002, "applications_clocks"),
    (0x004, "sw_power_cap"),
    (0x008, "hw_slowdown"),
    (0x010, "sync_boost"),
    (0x020, "sw_thermal"),
    (0x040, "hw_thermal"),
    (0x080, "hw_power_brake"),
    (0x100, "display_clocks"),
];

/// Bits that no release of ours knows yet.
pub(crate) const OTHER: &str = "other";

/// All reasons with whether they hold, `other` last.
pub(crate) fn held(bits: u64) -> impl Iterator<Item = (&'static str, bool)> {
    let known = REASONS.iter().fold(0, |known, (bit, _)| known | bit);
    REASONS
        .iter()
        .map(move |(bit, reason)| (*reason, bits & bit != 0))
        .chain([(OTHER, bits & !known != 0)])
}

/// How many reasons [`held`] tells.
pub(crate) const COUNT: usize = REASONS.len() + 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_told_apart_and_unknown_ones_are_not_lost() {
        let on = |bits| -> Vec<_> {
            held(bits)
                .filter_map(|(reason, held)| held.then_some(reason))
                .collect()
        };
        assert!(on(0).is_empty());
        assert_eq!(on(0x1), ["idle"]);
        assert_eq!(on(0x24), ["sw_power_cap", "sw_thermal"]);
        assert_eq!(on(1 << 40 | 0x8), ["hw_slowdown", "other"]);
        assert_eq!(held(0).count(), COUNT);
    }
}
