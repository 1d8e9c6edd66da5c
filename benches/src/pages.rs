//! Pages of the benches: recorded ones, and what a bigger or later server would say.

use std::fmt::Write;
use std::path::Path;

/// A page of `testdata/`.
///
/// # Panics
///
/// Where it is not there.
#[must_use]
pub fn recorded(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../testdata")
        .join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The typical page: one vLLM engine under load.
#[must_use]
pub fn typical() -> String {
    recorded("vllm/vllm-0.32.0-t1-load.txt")
}

/// The large page: eight data-parallel engines behind one server.
#[must_use]
pub fn large() -> String {
    engines(&recorded("vllm/vllm-0.33.0-V1.txt"), 8)
}

/// The same server with more data-parallel engines: in each family, the series of engine 0 again for
/// each other engine.
#[must_use]
pub fn engines(page: &str, engines: u32) -> String {
    let mut out = String::new();
    let mut family = String::new();
    let flush = |family: &mut String, out: &mut String| {
        out.push_str(family);
        for engine in 1..engines {
            for line in family.lines().filter(|line| line.contains("engine=\"0\"")) {
                out.push_str(&line.replace("engine=\"0\"", &format!("engine=\"{engine}\"")));
                out.push('\n');
            }
        }
        family.clear();
    };
    for line in page.lines() {
        if line.starts_with('#') {
            flush(&mut family, &mut out);
            out.push_str(line);
            out.push('\n');
        } else {
            family.push_str(line);
            family.push('\n');
        }
    }
    flush(&mut family, &mut out);
    out
}

/// The page of the same server at another moment. Seven in ten lines have another value: counts have
/// grown, sums with them; moments of creation and idle counters stay.
#[must_use]
pub fn later(page: &str, moment: u32) -> String {
    let mut out = String::new();
    for (number, line) in (0u32..).zip(page.lines()) {
        // No label value of these pages has a brace and a blank.
        let series = line
            .find("} ")
            .map(|brace| brace + 1)
            .or_else(|| line.find(' '));
        let sample = series
            .filter(|_| !line.starts_with('#'))
            .map(|end| line.split_at(end));
        match sample {
            Some((series, rest)) if !series.contains("_created") && number % 10 < 7 => {
                let rest = rest.trim_start();
                let (value, behind) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
                let step = f64::from(moment * (number % 91 + 1));
                let value: f64 = value.parse().unwrap_or_default();
                let value = if value.fract() == 0.0 {
                    value + step
                } else {
                    value * (1.0 + step / 1009.0)
                };
                writeln!(out, "{series} {value:?}{behind}").expect("a string takes everything");
            }
            _ => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

/// The page without some of its sample lines: one in `parts`, beginning with sample `first`.
#[must_use]
pub fn without(page: &str, parts: usize, first: usize) -> String {
    let mut out = String::new();
    let mut sample = 0;
    for line in page.lines() {
        if !line.starts_with('#') {
            sample += 1;
            if sample % parts == first % parts {
                continue;
            }
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}
