//! Dates as MONAI Label writes them, and as names of files: UTC.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
#[must_use]
pub fn unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// `2026-11-28 10:51:47`, UTC.
#[must_use]
pub fn now() -> String {
    at(unix())
}

/// The same of any second since 1970.
#[must_use]
pub fn at(unix: u64) -> String {
    let (day, second) = (unix / 86_400, unix % 86_400);
    let [year, month, date] = civil(day);
    let [hour, minute, second] = [second / 3600, second / 60 % 60, second % 60];
    format!("{year:04}-{month:02}-{date:02} {hour:02}:{minute:02}:{second:02}")
}

/// `20261128-105147.123`, UTC: a name that no other moment has.
#[must_use]
pub fn moment() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let text = at(since.as_secs()).replace(['-', ':'], "").replace(' ', "-");
    format!("{text}.{:06}", since.subsec_micros())
}

/// Year, month and day of a day since 1970 (H. Hinnant, "chrono-compatible low-level date
/// algorithms", `civil_from_days`).
fn civil(day: u64) -> [u64; 3] {
    let day = day + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    [year + era * 400 + u64::from(month <= 2), month, date]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(at(0), "1970-01-01 00:00:00");
        assert_eq!(at(951_782_400), "2000-02-29 00:00:00");
        assert_eq!(at(1_795_864_707), "2026-11-28 11:18:27");
        assert_eq!(at(4_107_542_400), "2100-03-01 00:00:00");
    }
}
