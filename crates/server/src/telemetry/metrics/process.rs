//! What every process measures of itself, under the names that Prometheus' own clients use. Linux tells it in `/proc`.

use std::fs;

use keystile_core::time::Timestamp;

use super::registry::Registry;

/// Ticks of the processor times in `/proc`, a second: the kernel's promise to programs (`USER_HZ`), whatever it counts
/// by itself.
const TICKS_PER_SECOND: f64 = 100.0;

/// Declares the families of a process that began at this moment.
pub fn declare(registry: &Registry, began: Timestamp) {
    let began = began.as_micros() as f64 / 1e6;
    registry.counter("process_cpu_seconds_total", "Processor time, of the user and of the system.", cpu_seconds);
    registry.gauge("process_resident_memory_bytes", "Memory that is resident.", || kibibytes("VmRSS:"));
    registry.gauge("process_virtual_memory_bytes", "Address space.", || kibibytes("VmSize:"));
    registry.gauge("process_threads", "Threads.", || status("Threads:"));
    registry.gauge("process_open_fds", "File descriptors that are open.", open_files);
    registry.gauge("process_max_fds", "File descriptors that may be open.", max_files);
    registry.gauge("process_start_time_seconds", "When the process began, since 1970.", move || began);
}

fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program comes second, in brackets, and may hold anything.
    let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
    let ticks: u64 = after.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    ticks as f64 / TICKS_PER_SECOND
}

fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn kibibytes(name: &str) -> u64 {
    status(name) * 1_024
}

fn open_files() -> u64 {
    // Less the one that is open for reading the folder.
    fs::read_dir("/proc/self/fd").map_or(0, |files| files.count().saturating_sub(1) as u64)
}

fn max_files() -> u64 {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_itself() {
        assert!(kibibytes("VmRSS:") > 1 << 20 && kibibytes("VmSize:") >= kibibytes("VmRSS:"));
        assert!(open_files() >= 3 && open_files() <= max_files(), "{} of {}", open_files(), max_files());
        assert!(status("Threads:") >= 1);
        let mut turns = 0_u64;
        while cpu_seconds() == 0.0 {
            turns = std::hint::black_box(turns + 1);
        }
    }
}
