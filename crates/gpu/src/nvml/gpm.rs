//! Performance counters of the hardware (GPM): each number comes from two samples some time apart.

use std::time::{Duration, Instant};

use nvml_wrapper::enums::gpm::GpmMetricId;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::gpm::gpm_metrics_get;
use nvml_wrapper::{Device, GpmSample};

use super::call_error;
use crate::device::{CallError, Numbers, Quantity as Q};

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

/// A GPM sample, when it was taken, and what it told together with the one before, if there was one.
pub(super) struct Spaced<'n> {
    sample: GpmSample<'n>,
    taken: Instant,
    told: Option<Told>,
}

type Told = [Option<f64>; GPM.len()];

impl Spaced<'_> {
    /// Whether PCIe rates come from here: they are told, or will be with the next sample.
    pub(super) fn serves_pcie(&self) -> bool {
        let rate = |((_, quantity), value): (&(_, Q), &Option<f64>)| {
            matches!(quantity, Q::GpmPcieTransmit | Q::GpmPcieReceive) && value.is_some()
        };
        self.told.is_none_or(|told| GPM.iter().zip(&told).any(rate))
    }
}

/// Takes a sample and says what happened since the one before.
///
/// Where that one is too recent (a short period, a thread that was late) it stays, and what it told
/// is told again: it is younger than the spacing. Where it is older than `apart_max` (a driver that
/// hung) it is given up: a mean over an outage says nothing about now.
///
/// # Errors
///
/// The first failure. What was told nevertheless is in `numbers`.
pub(super) fn step<'n>(
    device: &Device<'n>,
    before: &mut Option<Spaced<'n>>,
    apart_max: Duration,
    numbers: &mut Numbers,
    sample: impl FnOnce(&Device<'n>) -> Result<GpmSample<'n>, NvmlError>,
) -> Result<(), CallError> {
    let mut result = Ok(());
    let due = |before: &Spaced<'_>| before.taken.elapsed() >= GPM_SPACING;
    if before.as_ref().is_none_or(due) {
        let last = before
            .take()
            .filter(|last| last.taken.elapsed() <= apart_max);
        let sample = sample(device).map_err(call_error)?;
        let taken = Instant::now();
        let told = last.map(|last| {
            let (told, compared) = between(device, &last, &sample);
            result = compared;
            told
        });
        *before = Some(Spaced {
            sample,
            taken,
            told,
        });
    }
    let told = before.iter().filter_map(|before| before.told).flatten();
    for (value, (_, quantity)) in told.zip(GPM) {
        if let Some(value) = value {
            numbers.put(quantity, value);
        }
    }
    result
}

fn between<'n>(
    device: &Device<'n>,
    before: &Spaced<'n>,
    after: &GpmSample<'n>,
) -> (Told, Result<(), CallError>) {
    let ids = GPM.map(|(id, _)| id);
    let mut told = [None; GPM.len()];
    let metrics = match gpm_metrics_get(device.nvml(), &before.sample, after, &ids) {
        Ok(metrics) => metrics,
        Err(error) => return (told, Err(call_error(error))),
    };
    let mut result = Ok(());
    for (value, metric) in told.iter_mut().zip(metrics) {
        match metric.map_err(call_error) {
            Ok(metric) => *value = Some(metric.value),
            Err(CallError::NotSupported) => {}
            Err(error) => result = result.and(Err(error)),
        }
    }
    (told, result)
}
