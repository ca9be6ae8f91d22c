//! Points in time as a capture holds them.

use std::fmt::{self, Display};

/// Nanoseconds since 1970-01-01 00:00 UTC, whatever the resolution of the capture.
///
/// What lies before 1970 or behind the year 2554 is held to these bounds: a capture with such times has a
/// broken clock, and its packets are worth reading all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

/// Writes the time as `2026-11-30T03:40:00.123456Z` (RFC 3339), to the microsecond.
impl Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let microseconds = self.0 % 1_000_000_000 / 1_000;
        write!(f, "{}T{}.{microseconds:06}Z", self.date(), self.clock())
    }
}

impl Time {
    /// Returns the day in UTC as `2026-11-30`.
    pub fn date(self) -> String {
        /// Seconds of a day.
        const DAY: u64 = 86_400;
        /// Days from 0000-03-01 to 1970-01-01.
        const BEFORE: u64 = 719_468;
        /// Days of 400 years, after which the calendar repeats itself.
        const ERA: u64 = 146_097;
        // Years begin in March here, so that the day that not all have is the last one.
        let days = self.0 / 1_000_000_000 / DAY + BEFORE;
        let (era, day) = (days / ERA, days % ERA);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let of_year = day - (365 * year + year / 4 - year / 100);
        // Of each five months from March on, three have 31 days and two 30.
        let month = (5 * of_year + 2) / 153;
        let of_month = of_year - (153 * month + 2) / 5 + 1;
        let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
        format!("{:04}-{month:02}-{of_month:02}", era * 400 + year)
    }

    /// Returns the time of the day in UTC as `03:40:00`.
    pub fn clock(self) -> String {
        let seconds = self.0 / 1_000_000_000;
        format!("{:02}:{:02}:{:02}", seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60)
    }

    /// Returns how long it has been since an earlier time, in milliseconds; 0 if that is later.
    pub fn milliseconds_since(self, earlier: Time) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_has_them() {
        for (nanoseconds, expected) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000000Z"),
            (951_868_799_999_999_999, "2000-02-29T23:59:59.999999Z"),
            (951_868_800_000_001_000, "2000-03-01T00:00:00.000001Z"),
            (1_796_010_000_123_456_789, "2026-11-30T03:40:00.123456Z"),
            (4_107_542_399_000_000_000, "2100-02-28T23:59:59.000000Z"),
            (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000000Z"),
            (u64::MAX, "2554-07-21T23:34:33.709551Z"),
        ] {
            assert_eq!(Time(nanoseconds).to_string(), expected);
        }
        assert_eq!(Time(5_250_000).milliseconds_since(Time(1_000_000)), 4.25);
        assert_eq!(Time(1).milliseconds_since(Time(2)), 0.0);
    }
}
