//! Programs on the same capture, turn by turn, and the table of what they cost.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{self, Cost};

/// What a contestant was given to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portion {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    /// The command that reads a capture.
    pub(crate) command: Box<dyn Fn(&Path) -> Command>,
    pub(crate) portion: Portion,
    /// Slow ones run less often.
    pub(crate) runs: usize,
}

pub(crate) struct Result {
    pub(crate) name: &'static str,
    portion: Portion,
    costs: Vec<Cost>,
    /// Seconds on a capture of nothing.
    pub(crate) start_up: f64,
}

/// Lets all run in turn, so that a busy moment of the machine meets everybody.
pub(crate) fn hold(
    contestants: &[Contestant],
    capture: &Path,
    nothing: &Path,
    mut progress: impl FnMut(&str),
) -> io::Result<Vec<Result>> {
    let mut results = Vec::new();
    for contestant in contestants {
        progress(contestant.name);
        let mut start_ups = Vec::new();
        for _ in 0..3 {
            start_ups.push(process::run(&mut (contestant.command)(nothing))?.seconds);
        }
        // Once before it counts: pages the program and the capture in.
        process::run(&mut (contestant.command)(capture))?;
        results.push(Result {
            name: contestant.name,
            portion: contestant.portion,
            costs: Vec::new(),
            start_up: median(start_ups),
        });
    }
    let most = contestants.iter().map(|contestant| contestant.runs).max().unwrap_or(0);
    for run in 0..most {
        for (contestant, result) in contestants.iter().zip(&mut results) {
            if run < contestant.runs {
                progress(&format!("{} {}/{}", contestant.name, run + 1, contestant.runs));
                result.costs.push(process::run(&mut (contestant.command)(capture))?);
            }
        }
    }
    Ok(results)
}

impl Result {
    /// The median of the runs.
    pub(crate) fn seconds(&self) -> f64 {
        median(self.costs.iter().map(|cost| cost.seconds).collect())
    }

    /// Bytes of frames in a second, start-up included.
    pub(crate) fn pace(&self) -> f64 {
        self.portion.bytes as f64 / self.seconds()
    }

    /// Bytes of frames in a second, once started.
    pub(crate) fn running_pace(&self) -> f64 {
        self.portion.bytes as f64 / (self.seconds() - self.start_up).max(f64::EPSILON)
    }

    /// Bytes of frames in a second of processor time, start-up included: steadier
    /// than the pace where the machine has other work.
    pub(crate) fn cpu_pace(&self) -> Option<f64> {
        self.cpu_seconds().map(|seconds| self.portion.bytes as f64 / seconds)
    }

    /// The mean of the runs, since the kernel counts in coarse ticks.
    fn cpu_seconds(&self) -> Option<f64> {
        let sum: Option<f64> = self.costs.iter().map(|cost| cost.cpu_seconds).sum();
        sum.map(|sum| sum / self.costs.len() as f64)
    }

    fn row(&self) -> String {
        let least = self.costs.iter().map(|cost| cost.seconds).fold(f64::INFINITY, f64::min);
        let peak = self.costs.iter().filter_map(|cost| cost.peak_memory).max();
        format!(
            "{:<24}{:>9.3}{:>9.3}{:>9}{:>10.3}{:>9.0}{:>9.0}{:>9.0}{:>10}",
            self.name,
            self.seconds(),
            least,
            self.cpu_seconds().map_or("-".to_owned(), |seconds| format!("{seconds:.3}")),
            self.start_up,
            self.portion.bytes as f64 / f64::from(1 << 20),
            self.pace() / 1e6,
            self.portion.frames as f64 / self.seconds() / 1e3,
            peak.map_or("-".to_owned(), |peak| format!("{:.1}", peak as f64 / f64::from(1 << 20))),
        )
    }
}

pub(crate) fn table(results: &[Result]) -> String {
    let mut table = format!(
        "{:<24}{:>9}{:>9}{:>9}{:>10}{:>9}{:>9}{:>9}{:>10}\n",
        "", "median s", "min s", "cpu s", "start-up s", "read MiB", "MB/s", "kpps", "peak MiB"
    );
    for result in results {
        table.push_str(&result.row());
        table.push('\n');
    }
    table
}

/// Where a program is installed, if it is.
pub(crate) fn installed(program: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).map(|path| path.join(program)).find(|path| path.is_file())
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    match numbers.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => numbers[len / 2],
        len => (numbers[len / 2 - 1] + numbers[len / 2]) / 2.0,
    }
}
