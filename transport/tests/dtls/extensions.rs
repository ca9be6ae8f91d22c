//! What OpenSSL agrees to and what keeps it: the rows of the table in `src/dtls/extensions.rs`, each with a
//! client or a server of other projects.

use crate::certificates::{Authority, p256, rsa};
use crate::foreign::{Program, Socket, drive, server, until};
use lowband_transport::SessionId;
use lowband_transport::dtls::{CloseReason, Config, Endpoint, Event, Limits, MaxFragmentLength, SendError};
use lowband_wire::dtls::extension::{
    EC_POINT_FORMATS, EXTENDED_MASTER_SECRET, MAX_FRAGMENT_LENGTH, RENEGOTIATION_INFO,
};
use lowband_wire::dtls::record::{Record, Records};
use openssl::pkey::{PKey, Private};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

const LONGEST: usize = 16_384;

/// Returns the longest plaintext among records of both epochs.
fn longest_plaintext(datagrams: &[Vec<u8>]) -> usize {
    let records = datagrams.iter().flat_map(|datagram| Records::new(datagram).map(Result::unwrap));
    let plaintext = |record: Record<'_>| match record.number.epoch() {
        0 => record.fragment.len(),
        _ => record.fragment.len() - 16,
    };
    records.map(plaintext).max().unwrap_or(0)
}

/// What a session with the foreign client was like.
struct Seen {
    /// Most bytes of plaintext in the records that may follow.
    largest: usize,
    /// The longest plaintext that we have sent, the longest allowed among it.
    longest: usize,
    /// The longest datagram of the handshake.
    longest_of_handshake: usize,
    output: String,
}

/// Lets a client connect and say "hello"; the answer fills one record, and the client may leave.
fn serve(key: &PKey<Private>, start: impl FnOnce(&str) -> Program) -> Seen {
    let mut endpoint = server(key, Limits::default());
    let socket = Socket::new(None);
    let mut program = start(&socket.udp.local_addr().unwrap().port().to_string());
    let mut input = program.input();
    input.write_all(b"hello\n").unwrap();
    let mut largest = 0;
    drive(&mut endpoint, &socket, |endpoint, event| match event {
        Event::Connected { largest_message, .. } => {
            largest = largest_message;
            ControlFlow::Continue(())
        }
        Event::Data { session, bytes } => {
            assert_eq!(bytes, b"hello\n");
            let now = Instant::now();
            assert_eq!(endpoint.send(now, session, &vec![b'x'; largest + 1]), Err(SendError::TooLong));
            // No datagram is longer than loopback takes.
            let mut answer = vec![b'x'; largest];
            answer[largest - 1] = b'\n';
            endpoint.send(now, session, &answer).unwrap();
            ControlFlow::Break(())
        }
        other => panic!("{other:?}"),
    });
    let longest = longest_plaintext(&socket.sent.borrow());
    let is_handshake = |datagram: &&Vec<u8>| datagram[0] != 23;
    let longest_of_handshake = socket.sent.borrow().iter().filter(is_handshake).map(Vec::len).max().unwrap();
    let is_answer = |line: &str| line.len() >= largest - 1 && line.ends_with("xxx");
    let output = program.read_until(is_answer);
    assert!(output.lines().any(is_answer), "the answer has arrived: {output}");
    drop(input);
    let why = drive(&mut endpoint, &socket, |_, event| match event {
        Event::Closed { why, .. } => ControlFlow::Break(why),
        other => panic!("{other:?}"),
    });
    assert_eq!(why, CloseReason::CloseNotify);
    Seen { largest, longest, longest_of_handshake, output }
}

fn s_client(port: &str, arguments: &[&str]) -> Program {
    let address = format!("127.0.0.1:{port}");
    let always = ["s_client", "-dtls1_2", "-tlsextdebug", "-no_ign_eof", "-connect", &address];
    Program::openssl(&[&always, arguments].concat())
}

fn gnutls_cli(port: &str, arguments: &[&str]) -> Program {
    let always = ["--udp", "--insecure", "--port", port, "127.0.0.1"];
    Program::start("gnutls-cli", &[&always, arguments].concat(), Stdio::null())
}

/// Returns the numbers of the extensions in our ServerHello, as `-tlsextdebug` prints them.
fn agreed(output: &str) -> Vec<u16> {
    let number = |line: &str| {
        let (_, after) = line.strip_prefix("TLS server extension")?.split_once("(id=")?;
        after.split_once(')')?.0.parse().ok()
    };
    let mut numbers: Vec<u16> = output.lines().filter_map(number).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn s_client_gets_of_what_it_offers_only_what_is_kept() {
    // OpenSSL's client offers encrypt_then_mac, session_ticket, supported_groups, signature_algorithms even
    // without an argument.
    let nothing = [EC_POINT_FORMATS, EXTENDED_MASTER_SECRET, RENEGOTIATION_INFO];
    let length = [MAX_FRAGMENT_LENGTH, EC_POINT_FORMATS, EXTENDED_MASTER_SECRET, RENEGOTIATION_INFO];
    let rows: [(&str, &[&str], &[u16], usize); 12] = [
        ("its own defaults", &[], &nothing, LONGEST),
        ("max_fragment_length 512", &["-maxfraglen", "512"], &length, 512),
        ("max_fragment_length 1024", &["-maxfraglen", "1024"], &length, 1024),
        ("max_fragment_length 2048", &["-maxfraglen", "2048"], &length, 2048),
        ("max_fragment_length 4096", &["-maxfraglen", "4096"], &length, 4096),
        ("server_name", &["-servername", "server.test"], &nothing, LONGEST),
        ("application_layer_protocol_negotiation", &["-alpn", "coap,h2"], &nothing, LONGEST),
        ("status_request", &["-status"], &nothing, LONGEST),
        ("signed_certificate_timestamp", &["-serverinfo", "18"], &nothing, LONGEST),
        ("use_srtp", &["-use_srtp", "SRTP_AES128_CM_SHA1_80"], &nothing, LONGEST),
        (
            "what OpenSSL does not know: heartbeat, record_size_limit, connection_id, unknown",
            &["-serverinfo", "15,28,54,64250"],
            &nothing,
            LONGEST,
        ),
        ("no session tickets", &["-no_ticket"], &nothing, LONGEST),
    ];
    for (what, arguments, expected, largest) in rows {
        for key in [p256(), rsa()] {
            let seen = serve(&key, |port| s_client(port, arguments));
            assert_eq!(agreed(&seen.output), expected, "{what}");
            assert_eq!((seen.largest, seen.longest), (largest, largest), "{what}");
            assert!(seen.longest_of_handshake <= (13 + largest).min(1232), "{what}");
            for part in ["Compression: NONE", "    Session-ID: \n", "New, TLSv1.2"] {
                assert!(seen.output.contains(part), "{what}: {part}: {}", seen.output);
            }
        }
    }
}

#[test]
fn gnutls_cli_gets_of_what_it_offers_only_what_is_kept() {
    // GnuTLS offers encrypt_then_mac, and record_size_limit beside max_fragment_length, by itself.
    let rows: [(&str, &[&str], usize); 6] = [
        ("its own defaults", &[], LONGEST),
        ("max_fragment_length and record_size_limit", &["--recordsize", "512"], 512),
        ("heartbeat", &["--heartbeat"], LONGEST),
        ("application_layer_protocol_negotiation", &["--alpn", "coap"], LONGEST),
        ("no extended_master_secret", &["--priority", "NORMAL:%NO_SESSION_HASH"], LONGEST),
        ("padding", &["--priority", "NORMAL:%DUMBFW"], LONGEST),
    ];
    for (what, arguments, largest) in rows {
        let seen = serve(&p256(), |port| gnutls_cli(port, arguments));
        assert_eq!((seen.largest, seen.longest), (largest, largest), "{what}");
    }
}

#[test]
fn key_exchange_takes_p_384_from_who_offers_nothing_else() {
    let rows = [
        (rsa(), "P-384", "ECDH, secp384r1, 384 bits"),
        (rsa(), "P-384:P-256", "ECDH, prime256v1, 256 bits"),
        (rsa(), "X448:P-384:X25519", "X25519, 253 bits"),
        (p256(), "P-384:P-256", "ECDH, prime256v1, 256 bits"),
    ];
    for (key, curves, used) in rows {
        let seen = serve(&key, |port| s_client(port, &["-curves", curves]));
        assert!(seen.output.contains(&format!("Server Temp Key: {used}")), "{curves}: {}", seen.output);
    }
    // RFC 8422 section 5.1: the curve of the certificate must be in the list too. A client that leaves it out
    // is refused by an alert.
    let mut endpoint = server(&p256(), Limits::default());
    let socket = Socket::new(None);
    let port = socket.udp.local_addr().unwrap().port().to_string();
    let mut program = Program::start(
        "openssl",
        &["s_client", "-dtls1_2", "-curves", "P-384", "-connect", &format!("127.0.0.1:{port}")],
        Stdio::piped(),
    );
    until(&mut endpoint, &socket, |endpoint| endpoint.counters().handshakes_failed == 1);
    assert!(program.end().contains("SSL alert number 40"));
}

/// Certificate and key in a file, for servers of other projects.
struct Pem(PathBuf);

impl Pem {
    fn new(authority: &Authority, name: &str, key: &PKey<Private>) -> Pem {
        let name = format!("extensions-{name}-{}.pem", std::process::id());
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let identity = authority.identity(key);
        std::fs::write(&path, [&*identity.certificate_chain, &*identity.private_key].concat()).unwrap();
        Pem(path)
    }
    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Pem {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn s_server(pem: &Pem) -> (Program, SocketAddr) {
    let arguments =
        ["s_server", "-dtls1_2", "-accept", "127.0.0.1:0", "-cert", pem.path(), "-key", pem.path()];
    let mut program = Program::openssl(&arguments);
    let output = program.read_until(|line| line.starts_with("ACCEPT "));
    let address = output.lines().last().unwrap()["ACCEPT ".len()..].parse().unwrap();
    (program, address)
}

fn gnutls_serv(pem: &Pem) -> (Program, SocketAddr) {
    // The server cannot report which port it has been given; take one that was free a moment ago.
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port_text = port.to_string();
    let files = ["--x509certfile", pem.path(), "--x509keyfile", pem.path()];
    let arguments = [&["--udp", "--echo", "--port", &port_text][..], &files].concat();
    let mut program = Program::start("gnutls-serv", &arguments, Stdio::piped());
    program.read_errors_until(|line| line.contains("listening on IPv4"));
    (program, (Ipv4Addr::LOCALHOST, port).into())
}

fn client(authority: &Authority, max_fragment_length: Option<MaxFragmentLength>) -> Endpoint {
    let config = Config { client: Some(authority.roots()), max_fragment_length, ..Config::default() };
    Endpoint::new(config, [4; 32]).unwrap()
}

/// Connects and sends a line that fills one record. Returns its length in bytes.
fn say_the_longest(endpoint: &mut Endpoint, socket: &Socket, server: SocketAddr) -> (SessionId, usize) {
    endpoint.connect(Instant::now(), server, "server.test").unwrap();
    let said = drive(endpoint, socket, |endpoint, event| match event {
        Event::Connected { session, largest_message, .. } => {
            let now = Instant::now();
            let mut line = vec![b'x'; largest_message];
            line[largest_message - 1] = b'\n';
            endpoint.send(now, session, &line).unwrap();
            line.push(b'\n');
            assert_eq!(endpoint.send(now, session, &line), Err(SendError::TooLong));
            ControlFlow::Break((session, largest_message))
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(longest_plaintext(&socket.sent.borrow()), said.1);
    said
}

#[test]
fn our_client_keeps_what_a_server_agrees_to() {
    let authority = Authority::new();
    let asked = [
        (None, LONGEST),
        (Some(MaxFragmentLength::Bytes512), 512),
        (Some(MaxFragmentLength::Bytes1024), 1024),
        (Some(MaxFragmentLength::Bytes2048), 2048),
        (Some(MaxFragmentLength::Bytes4096), 4096),
    ];
    for (name, key) in [("p256", p256()), ("rsa", rsa())] {
        let pem = Pem::new(&authority, name, &key);
        for (asked, expected) in asked {
            let (mut program, address) = s_server(&pem);
            let (mut endpoint, socket) = (client(&authority, asked), Socket::new(None));
            let (_, largest) = say_the_longest(&mut endpoint, &socket, address);
            assert_eq!(largest, expected, "s_server, {name}");
            let is_line = |line: &str| line.len() == largest - 1 && line.ends_with("xxx");
            assert!(program.read_until(is_line).lines().any(is_line), "{asked:?}");

            let (_program, address) = gnutls_serv(&pem);
            let (mut endpoint, socket) = (client(&authority, asked), Socket::new(None));
            let (_, largest) = say_the_longest(&mut endpoint, &socket, address);
            assert_eq!(largest, expected, "gnutls-serv, {name}");
            let echo = drive(&mut endpoint, &socket, |_, event| match event {
                Event::Data { bytes, .. } => ControlFlow::Break(bytes),
                other => panic!("{other:?}"),
            });
            assert!(echo.starts_with(b"xxx") && echo.len() <= largest, "{asked:?}");
        }
    }
}

#[test]
fn a_client_that_wants_to_renegotiate_is_told_no_and_the_session_goes_on() {
    let mut endpoint = server(&p256(), Limits::default());
    let socket = Socket::new(None);
    let address = socket.udp.local_addr().unwrap().to_string();
    let arguments = ["s_client", "-dtls1_2", "-connect", &address];
    let mut program = Program::start("openssl", &arguments, Stdio::piped());
    let mut input = program.input();
    input.write_all(b"hello\n").unwrap();
    drive(&mut endpoint, &socket, |_, event| match event {
        Event::Data { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    input.write_all(b"R\n").unwrap();
    until(&mut endpoint, &socket, |endpoint| endpoint.counters().renegotiations_refused > 0);
    assert_eq!(endpoint.session_ids().len(), 1);
    // OpenSSL's client ends the session, at once.
    let why = drive(&mut endpoint, &socket, |_, event| match event {
        Event::Closed { why, .. } => ControlFlow::Break(why),
        other => panic!("{other:?}"),
    });
    assert_eq!((why, endpoint.counters().renegotiations_refused), (CloseReason::Alert(40), 1));
    drop(input);
    assert!(program.end().contains("no renegotiation"));
}

/// GnuTLS asks again as often as it is refused, without a pause.
#[test]
fn a_client_that_goes_on_asking_is_refused_twelve_times() {
    let mut endpoint = server(&p256(), Limits::default());
    let socket = Socket::new(None);
    let port = socket.udp.local_addr().unwrap().port().to_string();
    let _program = gnutls_cli(&port, &["--rehandshake"]);
    until(&mut endpoint, &socket, |endpoint| endpoint.counters().renegotiations_ignored > 0);
    assert_eq!(endpoint.counters().renegotiations_refused, 12);
    assert_eq!((endpoint.counters().records_out, endpoint.session_ids().len()), (12, 1));
}

#[test]
fn a_server_that_wants_to_renegotiate_is_told_no() {
    let authority = Authority::new();
    let pem = Pem::new(&authority, "renegotiation", &p256());
    let (mut program, address) = s_server(&pem);
    let mut input = program.input();
    let (mut endpoint, socket) = (client(&authority, None), Socket::new(None));
    say_the_longest(&mut endpoint, &socket, address);
    program.read_until(|line| line.ends_with("xxx"));
    input.write_all(b"r\n").unwrap();
    until(&mut endpoint, &socket, |endpoint| endpoint.counters().renegotiations_refused > 0);
    assert_eq!(endpoint.session_ids().len(), 1, "the session goes on");
}
