//! What the figures were made on and with.

use std::fmt::Write;

/// Machine and versions, as a Markdown list.
pub fn description() -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: &str| _ = writeln!(out, "- {name}: {value}");
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let total = std::thread::available_parallelism().map_or(0, usize::from);
    line("processor", &format!("{}, {total} usable", model.map_or("unknown", |(_, name)| name)));
    let meminfo = read("/proc/meminfo");
    line("memory", meminfo.lines().next().and_then(|line| line.strip_prefix("MemTotal:")).unwrap_or("unknown").trim());
    line("kernel", read("/proc/sys/kernel/osrelease").trim());
    line("go", &crate::go::version().unwrap_or_else(|| "none".into()));
    let crates = ["lisle", "tokio", "smol", "may", "go-lib", "crossbeam-channel", "rayon", "async-channel", "flume"];
    let versions: Vec<_> = crates.iter().map(|name| format!("{name} {}", version(name).unwrap_or("?"))).collect();
    line("crates", &versions.join(", "));
    out
}

/// As the lock file has it.
fn version(name: &str) -> Option<&'static str> {
    let lock = include_str!("../Cargo.lock");
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_lock_file_names_versions() {
        assert!(super::version("tokio").unwrap().starts_with("1."));
    }
}
