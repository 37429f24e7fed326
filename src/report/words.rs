//! Numbers, times and lists in words.

use crate::time::Timestamp;

use super::{Names, Report};
use crate::findings::{Confidence, Governance, MethodCount, Severity};

/// The headline: what was found, in how many captures.
pub(crate) fn headline(report: &Report) -> String {
    let found: Vec<_> = [Confidence::Confirmed, Confidence::Likely, Confidence::Possible]
        .into_iter()
        .map(|confidence| (report.servers_with(confidence), confidence))
        .filter(|(count, _)| *count > 0)
        .enumerate()
        .map(|(index, (number, confidence))| match index {
            0 => format!("{} {confidence}", counted(number as u64, "MCP server")),
            _ => format!("{number} {confidence}"),
        })
        .collect();
    let found = match found.as_slice() {
        [] => "No MCP servers found".to_owned(),
        found => found.join(", "),
    };
    let captures = report.captures_read.map_or_else(|| report.captures.count(), grouped);
    match captures.as_str() {
        "0" => found,
        "1" => format!("{found} in 1 capture"),
        count => format!("{found} in {count} captures"),
    }
}

/// The threats by severity: `2 threats: 1 high, 1 medium`. Counts rules, not
/// how often they fired.
pub(super) fn threat_line(report: &Report) -> Option<String> {
    if report.threats.is_empty() {
        return None;
    }
    let by_severity: Vec<_> = Severity::ALL
        .iter()
        .rev()
        .map(|severity| {
            (report.threats.iter().filter(|threat| threat.severity == *severity).count(), severity)
        })
        .filter(|(count, _)| *count > 0)
        .map(|(count, severity)| format!("{count} {severity}"))
        .collect();
    let threats = counted(report.threats.len() as u64, "threat");
    Some(format!("{threats}: {}", by_severity.join(", ")))
}

/// `1 server`, `2 servers`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// A number with its thousands set apart: `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A size in decimal units: `512 B`, `12.3 kB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if count < 1_000 {
        return format!("{count} B");
    }
    let mut unit = 1_000_u128;
    for name in UNITS {
        let tenths = (u128::from(count) * 10 + unit / 2) / unit;
        if tenths < 10_000 {
            return format!("{}.{} {name}", tenths / 10, tenths % 10);
        }
        unit *= 1_000;
    }
    format!("{count} B")
}

/// A stretch of time: `2026-07-28 10:00:00 to 10:05:31 UTC`.
pub(super) fn span(first: Option<Timestamp>, last: Option<Timestamp>) -> Option<String> {
    let (first_day, first_time) = day_and_time(first?);
    let (last_day, last_time) = day_and_time(last?);
    Some(match (first_day == last_day, first_time == last_time) {
        (true, true) => format!("{first_day} {first_time} UTC"),
        (true, false) => format!("{first_day} {first_time} to {last_time} UTC"),
        (false, _) => format!("{first_day} {first_time} to {last_day} {last_time} UTC"),
    })
}

/// `2026-07-28` and `10:00:00`.
pub(crate) fn day_and_time(time: Timestamp) -> (String, String) {
    let text = time.to_string();
    match text.split_once('T') {
        Some((day, rest)) => {
            (day.to_owned(), rest.split(['.', 'Z']).next().unwrap_or_default().to_owned())
        }
        None => (text, String::new()),
    }
}

/// The names of a list, the last saying that there were more.
pub(super) fn listed(names: &Names) -> Vec<String> {
    let mut list = names.names.clone();
    if names.more {
        list.push("and more".to_owned());
    }
    list
}

/// Methods with their counts: `tools/call 40 (2 errors)`.
pub(super) fn methods(methods: &[MethodCount]) -> Vec<String> {
    methods
        .iter()
        .map(|count| {
            let method = &count.method;
            // A response without its request counts too: one direction may be all that was seen.
            let calls = grouped(count.requests.max(count.responses.saturating_add(count.errors)));
            match count.errors {
                0 => format!("{method} {calls}"),
                errors => format!("{method} {calls} ({})", counted(errors, "error")),
            }
        })
        .collect()
}

/// A governance class in words.
pub(crate) fn governance(governance: Governance) -> &'static str {
    match governance {
        Governance::KnownUnsanctioned => "known, unsanctioned",
        other => other.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (12_345, "12.3 kB"),
            (12_350, "12.4 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (401_000, "401.0 kB"),
            (5_000_000_000, "5.0 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn headlines() {
        let report = |captures_read| Report { captures_read, ..Report::default() };
        assert_eq!(headline(&report(None)), "No MCP servers found");
        assert_eq!(headline(&report(Some(1))), "No MCP servers found in 1 capture");
        assert_eq!(headline(&report(Some(1_200))), "No MCP servers found in 1,200 captures");
    }

    #[test]
    fn numbers() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(123), "123");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(counted(1, "message"), "1 message");
        assert_eq!(counted(2_000, "message"), "2,000 messages");
    }

    #[test]
    fn spans() {
        let at = |seconds: i64| Some(Timestamp::from_parts(1_785_232_800 + seconds, 5));
        assert_eq!(span(at(0), at(0)).unwrap(), "2026-07-28 10:00:00 UTC");
        assert_eq!(span(at(0), at(331)).unwrap(), "2026-07-28 10:00:00 to 10:05:31 UTC");
        assert_eq!(
            span(at(0), at(86_400)).unwrap(),
            "2026-07-28 10:00:00 to 2026-07-29 10:00:00 UTC"
        );
        assert_eq!(span(None, at(0)), None);
    }
}
