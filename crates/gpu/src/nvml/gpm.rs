//! Performance counters of the hardware (GPM): each number comes from two samples some time apart.

use std::time::{Duration, Instant};

use nvml_wrapper::enums::gpm::GpmMetricId;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::gpm::gpm_metrics_get;
use nvml_wrapper::{Device, GpmSample};

use crate::device::{Numbers, Quantity as Q};

/// Two samples closer than this say little.
const GPM_SPACING: Duration = Duration::from_millis(100);

/// The GPM metrics of a GPU.
const GPM: [(GpmMetricId, Q); 16] = [
    (GpmMetricId::GraphicsUtil, Q::GpmGraphics),
    (GpmMetricId::SmUtil, Q::GpmSmActive),
    (GpmMetricId::SmOccupancy, Q::GpmSmOccupancy),
    (GpmMetricId::IntegerUtil, Q::GpmInteger),
    (GpmMetricId::AnyTensorUtil, Q::GpmTensor),
    (GpmMetricId::DfmaTensorUtil, Q::GpmTensorDfma),
    (GpmMetricId::HmmaTensorUtil, Q::GpmTensorHmma),
    (GpmMetricId::ImmaTensorUtil, Q::GpmTensorImma),
    (GpmMetricId::DramBwUtil, Q::GpmDramBandwidth),
    (GpmMetricId::Fp64Util, Q::GpmFp64),
    (GpmMetricId::Fp32Util, Q::GpmFp32),
    (GpmMetricId::Fp16Util, Q::GpmFp16),
    (GpmMetricId::PcieTxPerSec, Q::GpmPcieTransmit),
    (GpmMetricId::PcieRxPerSec, Q::GpmPcieReceive),
    (GpmMetricId::NvlinkTotalTxPerSec, Q::GpmNvlinkTransmit),
    (GpmMetricId::NvlinkTotalRxPerSec, Q::GpmNvlinkReceive),
];

/// A GPM sample, when it was taken, and what it told together with the one before.
pub(super) struct Spaced<'n> {
    sample: GpmSample<'n>,
    taken: Instant,
    told: [Option<f64>; GPM.len()],
}

/// Takes a sample and says what happened since the one before.
///
/// Where that one is too recent (a short period, a thread that was late) it stays, and what it told
/// is told again: it is younger than the spacing.
pub(super) fn step<'n>(
    device: &Device<'n>,
    before: &mut Option<Spaced<'n>>,
    numbers: &mut Numbers,
    sample: impl FnOnce(&Device<'n>) -> Result<GpmSample<'n>, NvmlError>,
) {
    let due = |before: &Spaced<'_>| before.taken.elapsed() >= GPM_SPACING;
    if before.as_ref().is_none_or(due) {
        let fresh = sample(device).ok().map(|sample| Spaced {
            told: before
                .as_ref()
                .map_or([None; GPM.len()], |before| between(device, before, &sample)),
            sample,
            taken: Instant::now(),
        });
        *before = fresh;
    }
    let told = before.iter().flat_map(|before| before.told);
    for (value, (_, quantity)) in told.zip(GPM) {
        if let Some(value) = value {
            numbers.put(quantity, value);
        }
    }
}

fn between<'n>(
    device: &Device<'n>,
    before: &Spaced<'n>,
    after: &GpmSample<'n>,
) -> [Option<f64>; GPM.len()] {
    let ids = GPM.map(|(id, _)| id);
    let mut told = [None; GPM.len()];
    if let Ok(metrics) = gpm_metrics_get(device.nvml(), &before.sample, after, &ids) {
        for (value, metric) in told.iter_mut().zip(metrics) {
            *value = metric.ok().map(|metric| metric.value);
        }
    }
    told
}
