//! What the system says about this process: CPU, memory, file descriptors.

use std::fs;
use std::time::Duration;

/// Figures of one moment; `None` where this system does not tell (no `/proc`).
#[derive(Clone, Debug, Default)]
pub struct Process {
    pub user: Duration,
    pub system: Duration,
    /// The most that was resident so far.
    pub max_resident_bytes: Option<u64>,
    pub resident_bytes: Option<u64>,
    pub virtual_bytes: Option<u64>,
    pub open_fds: Option<u64>,
    pub max_fds: Option<u64>,
    pub threads: Option<u64>,
    /// Since the Unix epoch.
    pub start_time_seconds: Option<f64>,
    /// Memory that Rust's allocator took from the system and has not given back: live values, and what it keeps for
    /// the next. The Kafka client's own memory is not in it.
    pub allocator_bytes: Option<u64>,
}

impl Process {
    pub fn now() -> Self {
        let mut process = Self::from_usage();
        process.allocator_bytes = allocator_bytes();
        process.max_fds = max_fds();
        // The directory's own descriptor is open while it is counted.
        process.open_fds = fs::read_dir("/proc/self/fd").ok().map(|entries| (entries.count() as u64).saturating_sub(1));
        if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().and_then(|text| Stat::parse(&text)) {
            process.threads = Some(stat.threads);
            process.virtual_bytes = Some(stat.virtual_bytes);
            process.resident_bytes = system_value(libc::_SC_PAGESIZE).map(|page| stat.resident_pages * page);
            process.start_time_seconds = start_time(stat.start_ticks);
        }
        process
    }

    pub fn cpu_seconds(&self) -> f64 {
        (self.user + self.system).as_secs_f64()
    }

    fn from_usage() -> Self {
        // SAFETY: `rusage` is plain numbers, for which all zeros is a value, and the pointer is valid for the call.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            (libc::getrusage(libc::RUSAGE_SELF, &mut usage) == 0).then_some(usage)
        };
        let Some(usage) = usage else { return Self::default() };
        let max_resident_bytes = u64::try_from(usage.ru_maxrss).ok().map(|kib| kib * 1024);
        Self { user: duration(usage.ru_utime), system: duration(usage.ru_stime), max_resident_bytes, ..Self::default() }
    }
}

/// The fields of `/proc/self/stat` that are wanted; `man 5 proc` numbers them from 1.
#[derive(Debug, PartialEq)]
struct Stat {
    threads: u64,
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // Field 2, the program's name, may hold spaces and parentheses: count from its end.
        let rest = text.get(text.rfind(')')? + 1..)?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse().ok();
        Some(Self {
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

fn start_time(ticks: u64) -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let boot: f64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(boot + ticks as f64 / system_value(libc::_SC_CLK_TCK)? as f64)
}

fn system_value(name: libc::c_int) -> Option<u64> {
    // SAFETY: `sysconf` takes any number and touches no memory of ours.
    u64::try_from(unsafe { libc::sysconf(name) }).ok().filter(|value| *value > 0)
}

fn max_fds() -> Option<u64> {
    // SAFETY: `rlimit` is two numbers, and the pointer is valid for the call.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        (libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0).then_some(limit.rlim_cur)
    }
}

fn duration(time: libc::timeval) -> Duration {
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0)) + Duration::from_micros(micros)
}

/// `None` where the allocator is not in use, as in tests of the library.
fn allocator_bytes() -> Option<u64> {
    let mut committed = 0;
    let none = std::ptr::null_mut();
    // SAFETY: every pointer may be null; the one that is not is valid for the call.
    unsafe { libmimalloc_sys::mi_process_info(none, none, none, none, none, &mut committed, none, none) };
    u64::try_from(committed).ok().filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_parentheses_does_not_shift_the_fields() {
        let text = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 9 18 777 4096000 250 22";
        let expected = Stat { threads: 9, start_ticks: 777, virtual_bytes: 4_096_000, resident_pages: 250 };
        assert_eq!(Stat::parse(text), Some(expected));
        assert_eq!(Stat::parse("42 (cut off"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_threads_and_a_past() {
        let process = Process::now();
        assert!(process.resident_bytes.is_some_and(|bytes| bytes > 100_000));
        assert!(process.max_resident_bytes >= process.resident_bytes.map(|bytes| bytes / 2));
        assert!(process.open_fds.is_some_and(|fds| fds >= 3) && process.max_fds >= process.open_fds);
        let start = process.start_time_seconds.expect("Linux tells it");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs_f64();
        assert!(start > now - 3600.0 && start <= now + 1.0, "{start} {now}");
    }
}
