//! Performance counters of the hardware (GPM): each number comes from two samples some time apart.

use std::thread;
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

/// A GPM sample and when it was taken.
pub(super) struct Spaced<'n> {
    sample: GpmSample<'n>,
    taken: Instant,
}

/// Takes a sample and says what happened since the one before.
pub(super) fn step<'n>(
    device: &Device<'n>,
    before: &mut Option<Spaced<'n>>,
    numbers: &mut Numbers,
    sample: impl FnOnce(&Device<'n>) -> Result<GpmSample<'n>, NvmlError>,
) {
    if let Some(before) = before {
        // The period is no shorter, so at most the jitter of a thread is slept off here.
        thread::sleep(GPM_SPACING.saturating_sub(before.taken.elapsed()));
    }
    let Ok(sample) = sample(device) else {
        *before = None;
        return;
    };
    let taken = Instant::now();
    if let Some(before) = before {
        let ids = GPM.map(|(id, _)| id);
        if let Ok(metrics) = gpm_metrics_get(device.nvml(), &before.sample, &sample, &ids) {
            for (metric, (_, quantity)) in metrics.into_iter().zip(GPM) {
                if let Ok(metric) = metric {
                    numbers.put(quantity, metric.value);
                }
            }
        }
    }
    *before = Some(Spaced { sample, taken });
}
