//! Turns the texts of options into values: durations, sizes, counts, addresses. Each error is a phrase that
//! fits after the option's name and value.

use crate::upstream::Address;
use http::uri::Authority;
use lowband_system::scaled::{SIZES, scaled};
use lowband_transport::shares::Balancers;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

const DURATIONS: &[(&str, u64)] = &[("", 1_000), ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
const COUNTS: &[(&str, u64)] = &[("", 1)];

/// The longest duration: times are added to the clock, which must not overflow.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Parses `500ms`, `60s`, `2m`, `24h`; a bare number is seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match scaled(text, DURATIONS).map(Duration::from_millis) {
        None => Err("is not a duration: write 500ms, 60s, 2m or 24h".to_owned()),
        Some(long) if long > LONGEST => Err("is longer than a year".to_owned()),
        Some(duration) => Ok(duration),
    }
}

/// Parses a duration that is not zero.
pub(super) fn some_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be longer than zero".to_owned()),
        some => Ok(some),
    }
}

/// Parses `65536`, `64KiB`, `8MiB`, `1GiB`, within bounds.
pub(super) fn size(text: &str, allowed: RangeInclusive<u64>) -> Result<usize, String> {
    let bytes = scaled(text, SIZES).ok_or("is not a size: write 65536, 64KiB or 8MiB")?;
    bounded(bytes, allowed)
}

/// Parses a whole number within bounds.
pub(super) fn count(text: &str, allowed: RangeInclusive<u64>) -> Result<usize, String> {
    bounded(scaled(text, COUNTS).ok_or("is not a whole number")?, allowed)
}

/// Parses a factor from 1 to 10.
pub(super) fn factor(text: &str) -> Result<f64, String> {
    let is_decimal = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    match text.parse() {
        Ok(factor) if is_decimal && (1.0..=10.0).contains(&factor) => Ok(factor),
        Ok(_) => Err("is not between 1 and 10".to_owned()),
        Err(_) => Err("is not a number like 1.5".to_owned()),
    }
}

/// Parses a whole number within bounds, or `auto` (`None`).
pub(super) fn count_or_auto(text: &str, allowed: RangeInclusive<u64>) -> Result<Option<usize>, String> {
    if text == "auto" { Ok(None) } else { count(text, allowed).map(Some).map_err(|why| or_word(why, "auto")) }
}

/// Returns [`count`] for one range.
pub(super) fn within(allowed: RangeInclusive<u64>) -> impl FnOnce(&str) -> Result<usize, String> {
    move |text| count(text, allowed)
}

/// Returns [`size`] for one range.
pub(super) fn size_within(allowed: RangeInclusive<u64>) -> impl FnOnce(&str) -> Result<usize, String> {
    move |text| size(text, allowed)
}

/// Parses an IP address and a port. Names are refused, because what a name resolves to may change between
/// check and bind.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "is not an IP address with a port, like [::]:8008 or 127.0.0.1:9464".to_owned())
}

/// Parses an address, or `off` (`None`).
pub(super) fn address_or_off(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == "off" { Ok(None) } else { address(text).map(Some).map_err(|why| or_word(why, "off")) }
}

/// Parses addresses and networks with commas between them, or `off`.
pub(super) fn balancers(text: &str) -> Result<Balancers, String> {
    if text == "off" {
        return Ok(Balancers::default());
    }
    Balancers::parse(text.split(',').map(str::trim))
        .map_err(|why| format!("is neither a list of networks nor off: {why}"))
}

/// Parses `unix:PATH` or `http://host:port`.
pub(super) fn upstream(text: &str) -> Result<Address, String> {
    const FORM: &str = "is neither unix:PATH nor http://host:port";
    if let Some(path) = text.strip_prefix("unix:") {
        // sun_path of unix(7) holds 108 bytes with the closing zero.
        return match path.len() {
            0 => Err("names no path after unix:".to_owned()),
            1..=107 => Ok(Address::Unix(PathBuf::from(path))),
            _ => Err("has a path longer than the 107 bytes that a unix socket takes".to_owned()),
        };
    }
    if text.starts_with("https://") {
        return Err(
            "asks for TLS, which is Envoy's work: name Envoy's listener as unix:PATH or http://".to_owned()
        );
    }
    let rest = text.strip_prefix("http://").ok_or(FORM)?;
    let authority: Authority = rest.strip_suffix('/').unwrap_or(rest).parse().map_err(|_| FORM)?;
    if authority.as_str().contains('@') {
        return Err("holds a user name, which nothing would use".to_owned());
    }
    match authority.port_u16() {
        Some(1..) => Ok(Address::Tcp(authority)),
        _ => Err("names no port".to_owned()),
    }
}

/// Adds to the error of a value that the option accepts this word as well.
pub(super) fn or_word(why: String, word: &str) -> String {
    format!("{why}; {word} is allowed too")
}

fn bounded(value: u64, allowed: RangeInclusive<u64>) -> Result<usize, String> {
    match usize::try_from(value) {
        Ok(small) if allowed.contains(&value) => Ok(small),
        _ => Err(format!("is not between {} and {}", allowed.start(), allowed.end())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_the_units_of_the_help() {
        for (text, millis) in
            [("0", 0), ("7", 7_000), ("500ms", 500), ("60s", 60_000), ("2 m", 120_000), ("24h", 86_400_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1s", "1.5s", "60 sec", "1d", "99999999999999999999s", "18446744073709551615h"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(some_duration("0s").is_err());
        assert_eq!(duration("8784h"), Ok(LONGEST));
        assert_eq!(duration("8785h"), Err("is longer than a year".to_owned()));
    }

    #[test]
    fn sizes_and_counts_keep_their_bounds() {
        assert_eq!(size("8MiB", 1..=1 << 30), Ok(8 << 20));
        assert_eq!(size("1024", 1..=1 << 30), Ok(1024));
        assert_eq!(size("0", 1..=10), Err("is not between 1 and 10".to_owned()));
        assert!(size("8MB", 1..=1 << 30).is_err());
        assert_eq!(count("32", 1..=32), Ok(32));
        assert!(count("33", 1..=32).is_err());
        assert_eq!(count_or_auto("auto", 1..=32), Ok(None));
        let why = "is not between 1 and 32; auto is allowed too";
        assert_eq!(count_or_auto("33", 1..=32), Err(why.to_owned()));
        assert_eq!((factor("1"), factor("1.25"), factor("10")), (Ok(1.0), Ok(1.25), Ok(10.0)));
        for text in ["0.9", "10.1", "1e0", "-1", "nan", "inf", "", "1,5"] {
            assert!(factor(text).is_err(), "{text}");
        }
        assert!(count("3KiB", 1..=1 << 20).is_err());
    }

    #[test]
    fn balancers_are_a_list_of_networks_or_off() {
        let address = |text: &str| text.parse().unwrap();
        let some = balancers("10.0.0.0/8, 2001:db8::7").unwrap();
        assert!(some.contains(address("10.1.2.3")) && some.contains(address("2001:db8::7")));
        assert!(!some.contains(address("192.0.2.1")));
        assert_eq!(balancers("off"), Ok(Balancers::default()));
        for (text, part) in [("", "\"\""), ("10.0.0.0/8,example.org", "example.org"), ("10.0.0.0/8,", "\"\"")]
        {
            assert!(balancers(text).unwrap_err().contains(part), "{text}");
        }
    }

    #[test]
    fn an_upstream_is_a_unix_socket_or_plain_http_with_a_port() {
        assert!(matches!(upstream("unix:run/envoy.sock"), Ok(Address::Unix(_))));
        assert!(matches!(upstream("http://127.0.0.1:8000"), Ok(Address::Tcp(_))));
        assert!(matches!(upstream("http://[::1]:8000/"), Ok(Address::Tcp(_))));
        for (text, why) in [
            ("unix:", "no path"),
            ("https://localhost:1", "TLS"),
            ("http://localhost", "no port"),
            ("http://localhost:0", "no port"),
            ("http://localhost:8000/path", "neither"),
            ("http://u@localhost:8000", "user name"),
            ("localhost:8000", "neither"),
            ("http://", "neither"),
        ] {
            assert!(upstream(text).unwrap_err().contains(why), "{text}: {:?}", upstream(text));
        }
        assert!(upstream(&format!("unix:{}", "x".repeat(108))).is_err());
    }

    #[test]
    fn addresses_are_numeric_with_a_port() {
        assert!(address("[::]:8008").is_ok());
        assert!(address("localhost:8008").is_err());
        assert!(address("127.0.0.1").is_err());
        assert_eq!(address_or_off("off"), Ok(None));
        let why = "is not an IP address with a port, like [::]:8008 or 127.0.0.1:9464; off is allowed too";
        assert_eq!(address_or_off("localhost:8008"), Err(why.to_owned()));
    }
}
