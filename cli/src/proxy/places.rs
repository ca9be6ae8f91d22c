//! Places on the command line of the proxy: where it listens, where datagrams go, where pages come from, and
//! what room is there for answers.

use crate::coap::url::unbracketed;
use lowband_system::scaled::{SIZES, scaled};
use std::net::{Ipv6Addr, SocketAddr};

/// Parses the address of `--listen`. What is wrong shows the form, with the port that was meant.
pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let port = text.rsplit(':').next().and_then(port).unwrap_or(8009);
        format!("an IP address and a port are expected: 127.0.0.1:{port}, or [::1]:{port}")
    })
}

/// Checks `HOST` or `HOST:PORT` of `--udp`. An IPv6 address without a port may do without its brackets.
pub(super) fn udp(text: &str) -> Result<String, String> {
    let form = || Err("HOST or HOST:PORT is expected, as hs.example:8008".to_owned());
    let is_ipv6 = |host: &str| unbracketed(host).parse::<Ipv6Addr>().is_ok();
    if is_ipv6(text) {
        return Ok(text.to_owned());
    }
    let (host, digits) = text.rsplit_once(':').map_or((text, None), |(host, digits)| (host, Some(digits)));
    let is_odd = |character: char| character.is_whitespace() || "@:[]".contains(character);
    let is_bracketed = host.starts_with('[') && is_ipv6(host);
    // Of `https://hs` the port is not what is wrong.
    let is_url = text.contains(['/', '?', '#']);
    if is_url || host.is_empty() || (host.contains(is_odd) && !is_bracketed) {
        return form();
    }
    match digits {
        Some(digits) if port(digits).is_none() => {
            Err(format!("{digits:?} is not a port, which is a number from 1 to 65535"))
        }
        _ => Ok(text.to_owned()),
    }
}

/// Parses an origin of `--origin`: scheme, host and perhaps a port, as browsers name it (RFC 6454).
pub(super) fn origin(text: &str) -> Result<String, String> {
    let origin = text.strip_suffix('/').unwrap_or(text);
    let is_host = |host: &str| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', '*']);
    match origin.split_once("://") {
        Some((scheme, host)) if !scheme.is_empty() && is_host(host) => Ok(origin.to_ascii_lowercase()),
        _ => Err("scheme and host of a page are expected, as https://app.element.io".to_owned()),
    }
}

/// The most that `--keep` takes, in bytes.
const MOST_KEPT: usize = 1 << 30;

/// Parses `--keep`: `off` is 0.
pub(super) fn kept(text: &str) -> Result<usize, String> {
    if text == "off" {
        return Ok(0);
    }
    let size = scaled(text, SIZES).map(|size| usize::try_from(size).unwrap_or(usize::MAX));
    match size {
        None => Err("a size is expected, as 65536, 512KiB or 4MiB, or off".to_owned()),
        Some(size) if size > MOST_KEPT => Err("1GiB is the most".to_owned()),
        Some(size) => Ok(size),
    }
}

fn port(digits: &str) -> Option<u16> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|port| is_number && *port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_go_to_a_host_and_a_port_if_there_is_one() {
        for place in ["hs", "hs:1", "192.0.2.1:65535", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:8008"] {
            assert_eq!(udp(place).as_deref(), Ok(place));
        }
        for (wrong, why) in [
            ("localhost:99999", "\"99999\" is not a port"),
            ("localhost:0", "is not a port"),
            ("localhost:+1", "is not a port"),
            ("localhost:", "is not a port"),
            ("[::1]:x", "is not a port"),
            ("", "HOST:PORT is expected"),
            (":8008", "HOST:PORT is expected"),
            ("a:b:1", "HOST:PORT is expected"),
            ("[hs]:1", "HOST:PORT is expected"),
            ("https://hs", "HOST:PORT is expected"),
            ("@u:1", "HOST:PORT is expected"),
        ] {
            let found = udp(wrong).unwrap_err();
            assert!(found.contains(why), "{wrong}: {found}");
        }
    }

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        for (text, parsed) in [
            ("https://App.example", "https://app.example"),
            ("https://app.example:8443/", "https://app.example:8443"),
            ("vector://vector", "vector://vector"),
        ] {
            assert_eq!(origin(text).as_deref(), Ok(parsed));
        }
        for wrong in
            ["app.example", "https://", "*", "https://*.example", "https://app.example/x", "null", ""]
        {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn room_for_answers_is_a_size_or_off() {
        for (text, size) in [
            ("off", Some(0)),
            ("0", Some(0)),
            ("65536", Some(65_536)),
            ("512KiB", Some(512 << 10)),
            ("16MiB", Some(16 << 20)),
            ("1GiB", Some(1 << 30)),
            ("2GiB", None),
            ("99999999999GiB", None),
            ("4MB", None),
            ("4 MiB", Some(4 << 20)),
            ("+4", None),
            ("", None),
            ("MiB", None),
        ] {
            assert_eq!(kept(text).ok(), size, "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_listened_on_shows_the_form_with_the_port_that_was_meant() {
        assert_eq!(listen("[::1]:0"), Ok("[::1]:0".parse().unwrap()));
        for (wrong, port) in [
            ("8010", 8010),
            ("localhost:8010", 8010),
            (":8010", 8010),
            ("::1:8010", 8010),
            ("x", 8009),
            ("", 8009),
        ] {
            let found = listen(wrong).unwrap_err();
            assert!(found.contains(&format!("127.0.0.1:{port}, or [::1]:{port}")), "{wrong}: {found}");
        }
    }
}
