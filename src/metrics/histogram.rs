//! How long things take, in buckets.

use std::time::Duration;

use super::Text;

/// Upper bounds of the buckets, in milliseconds.
const BOUNDS: [u64; 10] = [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];

/// Counts of durations.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    /// By bucket; not cumulative.
    counts: [u64; BOUNDS.len()],
    count: u64,
    sum: Duration,
}

impl Histogram {
    pub(super) fn observe(&mut self, duration: Duration) {
        let fits = |bound: &u64| duration <= Duration::from_millis(*bound);
        if let Some((count, _)) = self.counts.iter_mut().zip(BOUNDS).find(|it| fits(&it.1)) {
            *count += 1;
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(duration);
    }

    pub(super) fn write(&self, name: &str, help: &str, text: &mut Text) {
        text.family(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        let mut below = 0;
        for (count, bound) in self.counts.iter().zip(BOUNDS) {
            below += count;
            let bound = format!("{}", Duration::from_millis(bound).as_secs_f64());
            text.sample(&bucket, &[("le", &bound)], &below.to_string());
        }
        text.sample(&bucket, &[("le", "+Inf")], &self.count.to_string());
        text.sample(&format!("{name}_sum"), &[], &self.sum.as_secs_f64().to_string());
        text.sample(&format!("{name}_count"), &[], &self.count.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up() {
        let mut histogram = Histogram::default();
        for millis in [10, 11, 99, 20_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let mut text = Text::default();
        histogram.write("lag", "Lag.", &mut text);
        let expected = "\
# HELP mcpwatch_lag Lag.
# TYPE mcpwatch_lag histogram
mcpwatch_lag_bucket{le=\"0.01\"} 1
mcpwatch_lag_bucket{le=\"0.025\"} 2
mcpwatch_lag_bucket{le=\"0.05\"} 2
mcpwatch_lag_bucket{le=\"0.1\"} 3
mcpwatch_lag_bucket{le=\"0.25\"} 3
mcpwatch_lag_bucket{le=\"0.5\"} 3
mcpwatch_lag_bucket{le=\"1\"} 3
mcpwatch_lag_bucket{le=\"2.5\"} 3
mcpwatch_lag_bucket{le=\"5\"} 3
mcpwatch_lag_bucket{le=\"10\"} 3
mcpwatch_lag_bucket{le=\"+Inf\"} 4
mcpwatch_lag_sum 20.12
mcpwatch_lag_count 4
";
        assert_eq!(text.0, expected);
    }
}
