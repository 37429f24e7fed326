//! Days, as suppressions name the one on which they end.

use std::fmt;

/// A day of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(jiff::civil::Date);

impl Date {
    /// The day of `2027-01-31`; `None` if there is no such day.
    pub fn parse(text: &str) -> Option<Self> {
        // Other ways to write a day are not for signature files.
        let plain =
            |(at, b): (usize, u8)| if matches!(at, 4 | 7) { b == b'-' } else { b.is_ascii_digit() };
        let written = text.len() == 10 && text.bytes().enumerate().all(plain);
        written.then(|| text.parse().ok().map(Self)).flatten()
    }

    /// The day it is, in UTC.
    pub fn today() -> Self {
        Self(jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date())
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_written_one_way() {
        let day = Date::parse("2027-01-31").unwrap();
        assert_eq!(day.to_string(), "2027-01-31");
        assert!(day < Date::parse("2027-02-01").unwrap());
        for text in ["", "2027-02-30", "2027-1-31", "20270131", "2027-01-31T00:00:00", "-027-01-31"]
        {
            assert_eq!(Date::parse(text), None, "{text}");
        }
    }
}
