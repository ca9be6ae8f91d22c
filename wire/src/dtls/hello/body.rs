//! The bodies of both hellos (RFC 5246 sections 7.4.1.2 and 7.4.1.3, RFC 6347 section 4.2.1), once all their
//! pieces are there.

use super::super::extension::Extensions;
use crate::reader::Reader;

/// The field of a hello that is cut off, or whose length is impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {0} of the hello is cut off or has an impossible length")]
pub struct Malformed(pub &'static str);

/// What a ClientHello begins with; as much has to be in its first piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beginning<'a> {
    /// Highest version that the client knows; they count downwards (RFC 6347 section 4.1).
    pub version: u16,
    /// Random of the client.
    pub random: &'a [u8; 32],
    /// Id of a session that the client wants to resume, at most 32 bytes; empty for none.
    pub session_id: &'a [u8],
    /// Cookie of a HelloVerifyRequest; empty for none.
    pub cookie: &'a [u8],
}

impl<'a> Beginning<'a> {
    pub(super) fn read(rest: &mut Reader<'a>) -> Result<Beginning<'a>, Malformed> {
        let (version, random, session_id) = common(rest)?;
        let cookie = rest.vector8().ok_or(Malformed("cookie"))?;
        Ok(Beginning { version, random, session_id, cookie })
    }
}

/// A whole ClientHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientHelloBody<'a> {
    /// Version, random, session id and cookie.
    pub beginning: Beginning<'a>,
    suites: &'a [u8],
    /// Extensions in their order; none if the hello ends before them.
    pub extensions: Extensions<'a>,
}

impl<'a> ClientHelloBody<'a> {
    /// Parses the body of a message.
    pub fn parse(body: &'a [u8]) -> Result<ClientHelloBody<'a>, Malformed> {
        let mut rest = Reader(body);
        let beginning = Beginning::read(&mut rest)?;
        ClientHelloBody::read(beginning, rest)
    }

    pub(super) fn read(
        beginning: Beginning<'a>,
        mut rest: Reader<'a>,
    ) -> Result<ClientHelloBody<'a>, Malformed> {
        let suites = rest.vector16().filter(|suites| !suites.is_empty() && suites.len().is_multiple_of(2));
        let suites = suites.ok_or(Malformed("list of suites"))?;
        // Every client offers null compression (RFC 5246 section 7.4.1.2).
        let compression = rest.vector8().filter(|methods| methods.contains(&0));
        compression.ok_or(Malformed("list of compression methods"))?;
        Ok(ClientHelloBody { beginning, suites, extensions: extensions(rest)? })
    }

    /// Returns the numbers of the suites that the client offers, by its preference.
    pub fn suites(&self) -> impl Iterator<Item = u16> + use<'a> {
        self.suites.chunks_exact(2).map(|id| id.iter().fold(0, |id, byte| id << 8 | u16::from(*byte)))
    }
}

/// A whole ServerHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerHello<'a> {
    /// Version that the server has chosen.
    pub version: u16,
    /// Random of the server.
    pub random: &'a [u8; 32],
    /// Id of the session, at most 32 bytes: that of the ClientHello if the session is resumed.
    pub session_id: &'a [u8],
    /// Number of the suite that the server has chosen, see [`super::super::suite::Suite::from_id`].
    pub suite: u16,
    /// Number of the compression method; 0 for none (RFC 3749 section 2).
    pub compression: u8,
    /// Extensions that the server agrees to; none if the hello ends before them.
    pub extensions: Extensions<'a>,
}

impl<'a> ServerHello<'a> {
    /// Parses the body of a message.
    pub fn parse(body: &'a [u8]) -> Result<ServerHello<'a>, Malformed> {
        let mut rest = Reader(body);
        let (version, random, session_id) = common(&mut rest)?;
        let suite = rest.u16().ok_or(Malformed("suite"))?;
        let compression = rest.u8().ok_or(Malformed("compression method"))?;
        let extensions = extensions(rest)?;
        Ok(ServerHello { version, random, session_id, suite, compression, extensions })
    }
}

/// Takes what both hellos begin with: version, random, session id.
fn common<'a>(rest: &mut Reader<'a>) -> Result<(u16, &'a [u8; 32], &'a [u8]), Malformed> {
    let version = rest.u16().ok_or(Malformed("version"))?;
    let random = rest.array::<32>().ok_or(Malformed("random"))?;
    let session_id = rest.vector8().filter(|id| id.len() <= 32).ok_or(Malformed("session id"))?;
    Ok((version, random, session_id))
}

/// Takes the extensions, which may be left out, and nothing may follow.
fn extensions(mut rest: Reader<'_>) -> Result<Extensions<'_>, Malformed> {
    const MALFORMED: Malformed = Malformed("list of extensions");
    if rest.0.is_empty() {
        return Ok(Extensions::NONE);
    }
    let list = rest.vector16().filter(|_| rest.0.is_empty()).ok_or(MALFORMED)?;
    Extensions::parse(list).ok_or(MALFORMED)
}

#[cfg(test)]
mod tests {
    use super::super::super::extension::{self, MaxFragmentLength};
    use super::*;
    use proptest::prelude::*;

    /// Makes a ServerHello with extended_master_secret, a Connection ID and 1,024 bytes a record.
    fn server_hello() -> Vec<u8> {
        let mut body = vec![0xfe, 0xfd];
        body.extend([9; 32]);
        body.extend([2, 5, 6, 0xc0, 0xae, 0]);
        body.extend([0, 16, 0, 0x17, 0, 0, 0, 54, 0, 3, 2, b'i', b'd', 0, 1, 0, 1, 2]);
        body
    }

    /// Makes a ClientHello with two suites, an empty Connection ID and a cookie.
    fn client_hello() -> Vec<u8> {
        let mut body = vec![0xfe, 0xfd];
        body.extend([7; 32]);
        body.extend([1, 3, 2, 8, 9]);
        body.extend([0, 4, 0xc0, 0x2b, 0xcc, 0xa9, 2, 1, 0]);
        body.extend([0, 5, 0, 54, 0, 1, 0]);
        body
    }

    #[test]
    fn the_fields_of_a_server_hello_are_found() {
        let body = server_hello();
        let hello = ServerHello::parse(&body).unwrap();
        assert_eq!((hello.version, hello.random, hello.session_id), (0xfefd, &[9; 32], &[5, 6][..]));
        assert_eq!((hello.suite, hello.compression), (0xc0ae, 0));
        assert!(hello.extensions.has_extended_master_secret());
        assert_eq!(hello.extensions.connection_id(), Some(&b"id"[..]));
        assert_eq!(hello.extensions.max_fragment_length(), Some(MaxFragmentLength::Bytes1024));
        let without = ServerHello::parse(&body[..40]).unwrap();
        assert_eq!(without.extensions.iter().count(), 0);
    }

    #[test]
    fn the_fields_of_a_client_hello_are_found() {
        let body = client_hello();
        let hello = ClientHelloBody::parse(&body).unwrap();
        let Beginning { version, random, session_id, cookie } = hello.beginning;
        assert_eq!((version, random), (0xfefd, &[7; 32]));
        assert_eq!((session_id, cookie), (&[3][..], &[8, 9][..]));
        assert_eq!(hello.suites().collect::<Vec<_>>(), [0xc02b, 0xcca9]);
        assert_eq!(
            hello.extensions.iter().map(|(kind, _)| kind).collect::<Vec<_>>(),
            [extension::CONNECTION_ID]
        );
        assert_eq!(hello.extensions.connection_id(), Some(&[][..]));
        assert!(!hello.extensions.has_extended_master_secret());
    }

    #[test]
    fn a_hello_cut_at_any_byte_names_the_field_unless_it_ends_before_the_extensions() {
        let server = server_hello();
        for end in 0..server.len() {
            let field = match end {
                0..2 => "version",
                2..34 => "random",
                34..37 => "session id",
                37..39 => "suite",
                39 => "compression method",
                40 => continue,
                _ => "list of extensions",
            };
            assert_eq!(ServerHello::parse(&server[..end]), Err(Malformed(field)), "cut at {end}");
        }
        let client = client_hello();
        for end in 0..client.len() {
            let field = match end {
                0..2 => "version",
                2..34 => "random",
                34..36 => "session id",
                36..39 => "cookie",
                39..45 => "list of suites",
                45..48 => "list of compression methods",
                48 => continue,
                _ => "list of extensions",
            };
            assert_eq!(ClientHelloBody::parse(&client[..end]), Err(Malformed(field)), "cut at {end}");
        }
    }

    #[test]
    fn impossible_fields_are_named() {
        let server = |at: usize, value| {
            let mut body = server_hello();
            body[at] = value;
            ServerHello::parse(&body).map(|_| ())
        };
        assert_eq!(server(34, 33), Err(Malformed("session id")));
        assert_eq!(server(41, 15), Err(Malformed("list of extensions")), "bytes after the list");
        assert_eq!(server(45, 1), Err(Malformed("list of extensions")), "an extension beyond the end");
        let client = |at: usize, value| {
            let mut body = client_hello();
            body[at] = value;
            ClientHelloBody::parse(&body).map(|_| ())
        };
        assert_eq!(client(40, 0), Err(Malformed("list of suites")), "none");
        assert_eq!(client(40, 3), Err(Malformed("list of suites")), "half a number");
        assert_eq!(client(47, 1), Err(Malformed("list of compression methods")), "no null compression");
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = (ClientHelloBody::parse(&bytes), ServerHello::parse(&bytes));
        }

        #[test]
        fn any_change_is_parsed_or_refused_and_what_is_found_lies_within(at in 0usize..59, value: u8) {
            for mut body in [client_hello(), server_hello()] {
                let at = at % body.len();
                body[at] = value;
                let hello = ClientHelloBody::parse(&body).map(|hello| hello.extensions);
                for extensions in [hello, ServerHello::parse(&body).map(|hello| hello.extensions)] {
                    let length = |(_, value): (u16, &[u8])| 4 + value.len();
                    let taken: usize = extensions.iter().flat_map(Extensions::iter).map(length).sum();
                    prop_assert!(taken < body.len());
                }
            }
        }
    }
}
