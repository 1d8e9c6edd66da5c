//! The numbers of an H200 under load, as its driver tells them; each GPU differs a little, so that a
//! value under the wrong GPU shows. What is not here is not supported.

pub(crate) fn value(key: &str, gpu: u32) -> Option<f64> {
    let g = f64::from(gpu);
    let mib = 1024.0 * 1024.0;
    Some(match key {
        "nvmlDeviceGetMemoryInfo:total" => 143_771.0 * mib,
        "nvmlDeviceGetMemoryInfo:reserved" => 614.0 * mib,
        "nvmlDeviceGetMemoryInfo:used" => (130_000.0 + g) * mib,
        "nvmlDeviceGetMemoryInfo:free" => (13_157.0 - g) * mib,
        "nvmlDeviceGetBAR1MemoryInfo:used" => 2.0 * mib,
        "nvmlDeviceGetBAR1MemoryInfo:total" => 262_144.0 * mib,
        "nvmlDeviceGetUtilizationRates:gpu" => 90.0 + g,
        "nvmlDeviceGetUtilizationRates:memory" => 40.0 + g,
        "nvmlDeviceGetEncoderUtilization" => 1.0,
        "nvmlDeviceGetDecoderUtilization" => 2.0,
        "nvmlDeviceGetJpgUtilization" => 3.0,
        "nvmlDeviceGetOfaUtilization" => 4.0,
        "nvmlDeviceGetTemperature" => 50.0 + g,
        "nvmlDeviceGetMarginTemperature" => 35.0 - g,
        "nvmlDeviceGetPowerUsage" => 627_400.0 + 1000.0 * g,
        "nvmlDeviceGetTotalEnergyConsumption" => 5_000_000_500.0 + g,
        "nvmlDeviceGetClockInfo:0" | "nvmlDeviceGetClockInfo:1" => 1980.0,
        "nvmlDeviceGetClockInfo:2" => 3201.0,
        "nvmlDeviceGetClockInfo:3" => 1545.0,
        "nvmlDeviceGetMaxClockInfo:0" | "nvmlDeviceGetMaxClockInfo:1" => 1980.0,
        "nvmlDeviceGetMaxClockInfo:2" => 3201.0,
        "nvmlDeviceGetMaxClockInfo:3" => 1545.0,
        "nvmlDeviceGetPerformanceState" => 0.0,
        "nvmlDeviceGetPcieReplayCounter" => 0.0,
        "nvmlDeviceGetCurrPcieLinkGeneration" | "nvmlDeviceGetMaxPcieLinkGeneration" => 5.0,
        "nvmlDeviceGetCurrPcieLinkWidth" | "nvmlDeviceGetMaxPcieLinkWidth" => 16.0,
        "nvmlDeviceGetCurrentClocksEventReasons" => 4.0,
        "nvmlDeviceGetEnforcedPowerLimit"
        | "nvmlDeviceGetPowerManagementLimit"
        | "nvmlDeviceGetPowerManagementDefaultLimit" => 700_000.0,
        "nvmlDeviceGetPowerManagementLimitConstraints:min" => 200_000.0,
        "nvmlDeviceGetPowerManagementLimitConstraints:max" => 700_000.0,
        "nvmlDeviceGetEccMode" => 1.0,
        "nvmlDeviceGetTotalEccErrors:0:0" => 1.0,
        "nvmlDeviceGetTotalEccErrors:1:0" => 0.0,
        "nvmlDeviceGetTotalEccErrors:0:1" => 3.0,
        "nvmlDeviceGetTotalEccErrors:1:1" => 2.0,
        "nvmlDeviceGetMemoryErrorCounter:0:0:2" => 1.0,
        "nvmlDeviceGetMemoryErrorCounter:1:0:2"
        | "nvmlDeviceGetMemoryErrorCounter:0:0:7"
        | "nvmlDeviceGetMemoryErrorCounter:1:0:7" => 0.0,
        "nvmlDeviceGetRowRemapperHistogram:max" => 3072.0,
        "nvmlDeviceGetRowRemapperHistogram:high"
        | "nvmlDeviceGetRowRemapperHistogram:partial"
        | "nvmlDeviceGetRowRemapperHistogram:low"
        | "nvmlDeviceGetRowRemapperHistogram:none" => 0.0,
        "nvmlDeviceGetNvLinkState" => 1.0,
        "nvmlDeviceGetArchitecture" => 9.0,
        "nvmlDeviceGetSupportedEventTypes" => 0x1ff as f64,
        "nvmlGpmQueryDeviceSupport" => 1.0,
        // Fields, by id and scope.
        "field:82:0" => 40.0 + g,
        "field:186:0" => 626_260.0,
        "field:185:0" => 627_400.0,
        "field:185:2" => 46_560.0,
        "field:197:0" => 1.0e12 + g,
        "field:198:0" => 2.0e12 + g,
        "field:138:4294967295" => 3.0e9,
        "field:139:4294967295" => 4.0e9,
        "field:74:0" => 1.5e9,
        "field:75:0" => 2.5e9,
        "field:76:0" | "field:77:0" | "field:78:0" | "field:79:0" => 0.0,
        // As driver 590 numbers them.
        "field:269:0" => 3.5e9,
        "field:270:0" => 4.5e9,
        "field:271:0" => 0.0,
        "field:193:0" => -8.0,
        "field:194:0" => -2.0,
        "field:195:0" | "field:196:0" => 0.0,
        "field:142:0" => 2.0,
        "field:143:0" => 1.0,
        "field:144:0" | "field:145:0" => 0.0,
        // GPM, by metric.
        "gpm:1" => 99.0,
        "gpm:2" => 92.0,
        "gpm:3" => 31.0,
        "gpm:4" => 12.0,
        "gpm:5" => 14.0,
        "gpm:6" => 0.0,
        "gpm:7" => 13.0,
        "gpm:9" => 0.0,
        "gpm:10" => 78.0 + g,
        "gpm:11" => 0.0,
        "gpm:12" => 20.0,
        "gpm:13" => 5.0,
        "gpm:20" => 100.0,
        "gpm:21" => 200.0,
        "gpm:60" => 400.0,
        "gpm:61" => 300.0,
        _ => {
            // Link errors, by link.
            let link = key
                .strip_prefix("field:")
                .and_then(|key| key.split_once(':'))?;
            match link.0 {
                "161" => 1.0,
                "162" | "163" => 0.0,
                _ => return None,
            }
        }
    })
}
