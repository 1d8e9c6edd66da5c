//! Pages that no server at hand sends, made in code: the layout of a known exporter, invented values.

use std::fmt::Write;

const MADE: &str = "a string takes everything";

/// The small page: a server with a handful of gauges and counters, no labels.
#[must_use]
pub fn small() -> String {
    let mut page = String::new();
    for n in 0..15 {
        let (kind, value) = if n % 3 == 0 {
            ("gauge", 0.125)
        } else {
            ("counter", 4211.0)
        };
        writeln!(
            page,
            "# HELP server:quantity_{n}_total What this quantity of the server is."
        )
        .expect(MADE);
        writeln!(page, "# TYPE server:quantity_{n}_total {kind}").expect(MADE);
        writeln!(page, "server:quantity_{n}_total {}", value * f64::from(n)).expect(MADE);
    }
    page
}

/// The label-heavy page: eight devices in the manner of dcgm-exporter, ten labels a line.
#[must_use]
pub fn devices() -> String {
    let mut page = String::new();
    for field in 0..32 {
        writeln!(
            page,
            "# HELP DCGM_FI_DEV_FIELD_{field} What field {field} of a device is."
        )
        .expect(MADE);
        writeln!(page, "# TYPE DCGM_FI_DEV_FIELD_{field} gauge").expect(MADE);
        for gpu in 0..8 {
            writeln!(
                page,
                "DCGM_FI_DEV_FIELD_{field}{{gpu=\"{gpu}\",UUID=\"GPU-5b7a2c1e-90d4-4f3e-8a61-0c9f7e2d31{gpu:02}\",\
                 pci_bus_id=\"00000000:{gpu:02}:00.0\",device=\"nvidia{gpu}\",modelName=\"NVIDIA H100 80GB HBM3\",\
                 Hostname=\"node-17.cluster.example\",DCGM_FI_DRIVER_VERSION=\"570.124.06\",container=\"engine\",\
                 namespace=\"inference\",pod=\"engine-7d9c5b8f6-x{gpu}k2p\"}} {}",
                field * 37 + gpu * 11
            )
            .expect(MADE);
        }
    }
    page
}

/// OpenMetrics with units, `_created`, and an exemplar on every second bucket.
#[must_use]
pub fn openmetrics() -> String {
    let mut page = String::new();
    for family in 0..40 {
        let name = format!("engine_phase_{family}_seconds");
        writeln!(
            page,
            "# HELP {name} How long phase {family} of a request took."
        )
        .expect(MADE);
        writeln!(page, "# TYPE {name} histogram\n# UNIT {name} seconds").expect(MADE);
        for engine in 0..2 {
            let labels =
                format!("engine=\"{engine}\",model_name=\"meta-llama/Llama-3.1-8B-Instruct\"");
            for (n, le) in (1u32..).zip([
                "0.005", "0.01", "0.05", "0.1", "0.5", "1.0", "5.0", "10.0", "+Inf",
            ]) {
                write!(page, "{name}_bucket{{{labels},le=\"{le}\"}} {}", n * 17).expect(MADE);
                if n % 2 == 0 {
                    write!(page, " # {{trace_id=\"4bf92f3577b34da6a3ce929d0e0e47{n:02}\"}} 0.0{n} 1790000000.25").expect(MADE);
                }
                page.push('\n');
            }
            writeln!(
                page,
                "{name}_count{{{labels}}} 153\n{name}_sum{{{labels}}} 12.75"
            )
            .expect(MADE);
            writeln!(page, "{name}_created{{{labels}}} 1790000000.5").expect(MADE);
        }
    }
    page.push_str("# EOF\n");
    page
}

/// The page of a federating server: many pods, nine labels a line, timestamps; about 10 MB, so it fits
/// no cache.
#[must_use]
pub fn federation() -> String {
    let mut page = String::new();
    for family in 0..100 {
        writeln!(page, "# TYPE engine_quantity_{family}_total counter").expect(MADE);
        for pod in 0..330 {
            writeln!(
                page,
                "engine_quantity_{family}_total{{cluster=\"eu-1\",container=\"engine\",endpoint=\"metrics\",engine=\"0\",\
                 instance=\"10.4.{}.{}:8000\",job=\"engines\",model_name=\"meta-llama/Llama-3.1-8B-Instruct\",\
                 namespace=\"inference\",pod=\"engine-7d9c5b8f6-{pod:05}\"}} {}.0 1790000000{:03}",
                pod / 250,
                pod % 250,
                pod * 7919 + family,
                pod % 1000
            )
            .expect(MADE);
        }
    }
    page
}
