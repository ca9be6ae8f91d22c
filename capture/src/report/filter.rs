//! Which exchanges are shown: by an end, by path, by code.

use crate::exchange::Exchange;
use lowband_wire::coap::Code as CoapCode;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// What an exchange has to be. Of several values for one thing any will do; the things all have to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Addresses, of which one has to be the client's or the server's. Empty: any.
    pub peers: Vec<Peer>,
    /// What the path has to be like. Empty: any.
    pub paths: Vec<Path>,
    /// What the code of the response has to be. Empty: any, and none.
    pub codes: Vec<Code>,
}

impl Filter {
    /// Returns true if each exchange is to be shown.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty() && self.paths.is_empty() && self.codes.is_empty()
    }

    /// Returns whether an exchange is to be shown.
    pub fn accepts(&self, exchange: &Exchange) -> bool {
        let is_any = |peer: &Peer| peer.is(exchange.client) || peer.is(exchange.server);
        (self.peers.is_empty() || self.peers.iter().any(is_any))
            && (self.paths.is_empty() || self.paths.iter().any(|path| path.fits(&exchange.path)))
            && (self.codes.is_empty()
                || exchange.code.is_some_and(|code| self.codes.iter().any(|wanted| wanted.fits(code))))
    }
}

/// An address, with or without a port: `10.0.0.1`, `10.0.0.1:50000`, `2001:db8::1`, `[2001:db8::1]:50000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    address: IpAddr,
    port: Option<u16>,
}

impl Peer {
    fn is(self, end: SocketAddr) -> bool {
        self.address == end.ip() && self.port.is_none_or(|port| port == end.port())
    }
}

impl FromStr for Peer {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Peer, &'static str> {
        let with_port =
            text.parse().map(|end: SocketAddr| Peer { address: end.ip(), port: Some(end.port()) });
        let alone = text.trim_start_matches('[').trim_end_matches(']').parse();
        let peer = with_port.or_else(|_| alone.map(|address| Peer { address, port: None }));
        peer.map_err(|_| "not an address, or an address and a port: 10.0.0.1, [2001:db8::1]:50000")
    }
}

/// A part of a path; or, with `*` for any text and `?` for one character, the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    fn fits(&self, path: &str) -> bool {
        if self.0.contains(['*', '?']) {
            is_like(self.0.as_bytes(), path.as_bytes())
        } else {
            path.contains(&self.0)
        }
    }
}

impl FromStr for Path {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Path, &'static str> {
        if text.is_empty() { Err("empty, which each path is like") } else { Ok(Path(text.to_owned())) }
    }
}

/// Returns whether a text is like a pattern, in time of the product of their lengths at most: after a
/// mistake, only the last `*` takes one more character.
fn is_like(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut in_text) = (0, 0);
    let mut last_star = None;
    while let Some(byte) = text.get(in_text) {
        match pattern.get(at) {
            Some(b'*') => {
                last_star = Some((at, in_text));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || wanted == byte => {
                at += 1;
                in_text += 1;
            }
            _ => match last_star {
                None => return false,
                Some((star, taken)) => {
                    last_star = Some((star, taken + 1));
                    at = star + 1;
                    in_text = taken + 1;
                }
            },
        }
    }
    pattern.get(at..).is_none_or(|rest| rest.iter().all(|byte| *byte == b'*'))
}

/// A code, `2.05`, or a class of codes, `4.xx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    class: u8,
    detail: Option<u8>,
}

impl Code {
    fn fits(self, code: CoapCode) -> bool {
        self.class == code.class() && self.detail.is_none_or(|detail| detail == code.detail())
    }
}

impl FromStr for Code {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Code, &'static str> {
        let code = || {
            let (class, detail) = text.split_once('.')?;
            let class = class.parse().ok().filter(|class| *class <= 7)?;
            let detail = match detail {
                "xx" | "XX" | "*" => None,
                _ if detail.len() == 2 => Some(detail.parse().ok().filter(|detail| *detail <= 31)?),
                _ => return None,
            };
            Some(Code { class, detail })
        };
        code().ok_or("not a code as 2.05, or a class as 4.xx")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_an_address_with_or_without_a_port() {
        let end: SocketAddr = "10.0.0.1:5000".parse().unwrap();
        for (text, expected) in
            [("10.0.0.1", true), ("10.0.0.1:5000", true), ("10.0.0.1:5001", false), ("::1", false)]
        {
            assert_eq!(text.parse::<Peer>().unwrap().is(end), expected, "{text}");
        }
        let end: SocketAddr = "[2001:db8::1]:5000".parse().unwrap();
        for text in ["2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:5000"] {
            assert!(text.parse::<Peer>().unwrap().is(end), "{text}");
        }
        for wrong in ["", "localhost", "10.0.0", "10.0.0.1:", "10.0.0.1:99999"] {
            assert!(wrong.parse::<Peer>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_path_is_a_part_or_a_pattern_of_the_whole() {
        let path = "/_matrix/client/v3/rooms/!a:b/send/m.room.message/1";
        for (text, expected) in [
            ("send", true),
            ("/send/", true),
            ("sync", false),
            ("/_matrix/*", true),
            ("*/send/*", true),
            ("*/send", false),
            ("*/send/*/?", true),
            ("*/send/*/??", false),
            ("/_matrix/client/??/rooms/*", true),
            ("*", true),
            ("*a*c*b*", true),
            ("*1", true),
            ("*2", false),
        ] {
            assert_eq!(text.parse::<Path>().unwrap().fits(path), expected, "{text}");
        }
        assert!("".parse::<Path>().is_err());
        assert!("*".parse::<Path>().unwrap().fits(""));
        // Each star could take each part.
        assert!(!is_like("*a".repeat(60).as_bytes(), "a".repeat(59).as_bytes()));
        assert!(!is_like(
            ["*a".repeat(60), "b".to_owned()].concat().as_bytes(),
            "a".repeat(9_999).as_bytes()
        ));
    }

    #[test]
    fn a_code_is_whole_or_a_class() {
        let not_found = CoapCode::NOT_FOUND;
        for (text, expected) in
            [("4.04", true), ("4.xx", true), ("4.*", true), ("4.XX", true), ("4.05", false), ("2.xx", false)]
        {
            assert_eq!(text.parse::<Code>().unwrap().fits(not_found), expected, "{text}");
        }
        for wrong in ["404", "4", "4.4", "4.32", "8.00", "4.x", "-4.04", "4.004"] {
            assert!(wrong.parse::<Code>().is_err(), "{wrong}");
        }
    }
}
