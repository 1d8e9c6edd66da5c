//! What this process uses, from Linux's `/proc`; elsewhere nothing is known, and nothing is said.
//!
//! Read by hand: a few fields of two files do not earn a dependency. `proc_pid_stat(5)` and
//! `proc_pid_limits(5)` say what stands where.

/// What the process uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Usage {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: f64,
    pub(super) virtual_bytes: f64,
    pub(super) threads: f64,
    pub(super) open_fds: Option<f64>,
    pub(super) max_fds: Option<f64>,
}

/// `USER_HZ`, which the kernel's interface fixes at 100 on every architecture that Rust's standard
/// library supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// What this process uses now; `None` where `/proc` is not there.
pub(super) fn usage() -> Option<Usage> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    #[expect(
        clippy::cast_precision_loss,
        reason = "there are far fewer descriptors than 2^53"
    )]
    let open_fds = std::fs::read_dir("/proc/self/fd")
        .ok()
        .map(|entries| entries.count() as f64);
    parse(&stat, &status, &limits, open_fds)
}

fn parse(stat: &str, status: &str, limits: &str, open_fds: Option<f64>) -> Option<Usage> {
    // The command may hold blanks and parentheses; what is fixed begins after the last one.
    let fields: Vec<f64> = stat
        .rsplit_once(')')?
        .1
        .split_whitespace()
        .skip(1)
        .filter_map(|f| f.parse().ok())
        .collect();
    // Counted from the parent's id (field 4 of the manual page), which is first here.
    let field = |number: usize| fields.get(number - 4).copied();
    let kibibytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()
    };
    let max_fds = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    Some(Usage {
        cpu_seconds: (field(14)? + field(15)?) / TICKS_PER_SECOND,
        resident_bytes: kibibytes("VmRSS:")? * 1024.0,
        virtual_bytes: kibibytes("VmSize:")? * 1024.0,
        threads: field(20)?,
        open_fds,
        max_fds: max_fds.and_then(|limit| limit.split_whitespace().next()?.parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_those_of_the_manual_page() {
        let stat = "42 (a (odd) name) S 1 42 42 0 -1 4194304 100 0 0 0 250 150 0 0 20 0 7 0 12345 1000000 200 18446744073709551615";
        let status = "Name:\tx\nVmSize:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 20000                files\n";
        let usage = parse(stat, status, limits, Some(5.0)).unwrap();
        assert_eq!(
            usage,
            Usage {
                cpu_seconds: 4.0,
                resident_bytes: 1024.0 * 1024.0,
                virtual_bytes: 2048.0 * 1024.0,
                threads: 7.0,
                open_fds: Some(5.0),
                max_fds: Some(1024.0),
            }
        );
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_uses_something() {
        let usage = usage().unwrap();
        assert!(
            usage.resident_bytes > 0.0 && usage.threads >= 1.0,
            "{usage:?}"
        );
    }
}
