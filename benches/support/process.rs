//! Runs a program and says what it cost.

use std::fs;
use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often the peak of memory is read.
const SAMPLE: Duration = Duration::from_millis(2);
/// The kernel counts processor time in hundredths of a second (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// What one run cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) seconds: f64,
    /// Processor time, user and system. Unknown where there is no /proc.
    pub(crate) cpu_seconds: Option<f64>,
    /// The most memory resident at once, in bytes.
    pub(crate) peak_memory: Option<u64>,
}

/// Runs `command` to its end, throwing away what it prints. An exit code other
/// than 0 is an error.
pub(crate) fn run(command: &mut Command) -> io::Result<Cost> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let start = Instant::now();
    let mut child = command.spawn()?;
    let mut output = child.stdout.take();
    let id = child.id();
    let ended = AtomicBool::new(false);
    let (seconds, peak_memory) = thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut peak = None;
            while !ended.load(Ordering::Relaxed) {
                peak = peak.max(high_water_mark(id));
                thread::sleep(SAMPLE);
            }
            peak
        });
        // The pipe ends when the program does: no polling, no rounding.
        let mut sink = vec![0; 64 << 10];
        while output.as_mut().is_some_and(|output| output.read(&mut sink).is_ok_and(|n| n > 0)) {}
        let seconds = start.elapsed().as_secs_f64();
        ended.store(true, Ordering::Relaxed);
        (seconds, sampler.join().ok().flatten())
    });
    let cpu_seconds = cpu_of_zombie(id);
    let status = child.wait()?;
    if !status.success() {
        return Err(io::Error::other(format!("{} ended with {status}", program(command))));
    }
    Ok(Cost { seconds, cpu_seconds, peak_memory })
}

pub(crate) fn program(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn high_water_mark(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

/// Processor time of a child that has ended and was not waited for: then alone
/// it is whole, and still there.
fn cpu_of_zombie(id: u32) -> Option<f64> {
    loop {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // After the name, which may hold anything, in parentheses.
        let (_, fields) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        if fields.first() == Some(&"Z") {
            let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
            return Some((ticks(11)? + ticks(12)?) as f64 / TICKS_PER_SECOND);
        }
        thread::sleep(Duration::from_millis(1));
    }
}
