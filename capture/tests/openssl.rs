//! Sessions of OpenSSL with OpenSSL, in memory: each suite that it has with an AEAD, certificates and
//! pre-shared keys, full handshakes and resumed ones. Every plaintext has to come out as it went in.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_capture::session::Keys;
use lowband_capture::{Capture, Datagram, Event, Exchange, Options, Session, Suite, Time};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{
    ErrorCode, Ssl, SslContext, SslContextBuilder, SslMethod, SslSession, SslSessionCacheMode, SslStream,
    SslVerifyMode,
};
use openssl::x509::{X509, X509Name};
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

/// What passes, in its order: true for what the client sends.
type Wire = Rc<RefCell<Vec<(bool, Vec<u8>)>>>;

/// One end of a link that keeps datagrams apart.
struct Pipe {
    is_client: bool,
    sent: Wire,
    /// Datagrams for this end, and for the other.
    inbox: Rc<RefCell<VecDeque<Vec<u8>>>>,
    outbox: Rc<RefCell<VecDeque<Vec<u8>>>>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.inbox.borrow_mut().pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        buffer[..datagram.len()].copy_from_slice(&datagram);
        Ok(datagram.len())
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sent.borrow_mut().push((self.is_client, bytes.to_vec()));
        self.outbox.borrow_mut().push_back(bytes.to_vec());
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn certificate(key: &PKey<Private>) -> X509 {
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_nid(Nid::COMMONNAME, "server.test").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.sign(key, MessageDigest::sha256()).unwrap();
    builder.build()
}

fn p256() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn builder(method: SslMethod, suite: &str) -> SslContextBuilder {
    let mut builder = SslContext::builder(method).unwrap();
    builder.set_cipher_list(&format!("{suite}:@SECLEVEL=0")).unwrap();
    builder.set_verify(SslVerifyMode::NONE);
    builder
}

/// What one run has left behind.
struct Run {
    datagrams: Vec<(bool, Vec<u8>)>,
    session: Option<SslSession>,
    was_resumed: bool,
}

/// Both ends of a suite, which may meet several times.
struct Ends {
    client: SslContext,
    server: SslContext,
    key_log: Arc<Mutex<String>>,
    sessions: Arc<Mutex<Option<SslSession>>>,
}

impl Ends {
    fn new(suite: &str, key: &PKey<Private>) -> Ends {
        const SECRET: [u8; 16] = [9; 16];
        let key_log = Arc::<Mutex<String>>::default();
        let sessions = Arc::<Mutex<Option<SslSession>>>::default();
        let mut server = builder(SslMethod::dtls_server(), suite);
        server.set_certificate(&certificate(key)).unwrap();
        server.set_private_key(key).unwrap();
        server.set_session_id_context(b"test").unwrap();
        server.set_psk_server_callback(|_, _, secret| {
            secret[..SECRET.len()].copy_from_slice(&SECRET);
            Ok(SECRET.len())
        });
        let mut client = builder(SslMethod::dtls_client(), suite);
        client.set_session_cache_mode(SslSessionCacheMode::CLIENT);
        client.set_psk_client_callback(|_, _, identity, secret| {
            identity[..3].copy_from_slice(b"me\0");
            secret[..SECRET.len()].copy_from_slice(&SECRET);
            Ok(SECRET.len())
        });
        let log = Arc::clone(&key_log);
        client.set_keylog_callback(move |_, line| {
            let mut log = log.lock().unwrap();
            log.push_str(line);
            log.push('\n');
        });
        let kept = Arc::clone(&sessions);
        client.set_new_session_callback(move |_, session| *kept.lock().unwrap() = Some(session));
        Ends { client: client.build(), server: server.build(), key_log, sessions }
    }

    /// Shakes hands and passes messages in turns, the client first.
    fn meet(&self, resume: Option<&SslSession>, messages: &[Vec<u8>]) -> Run {
        let sent = Wire::default();
        let (up, down) = (Rc::default(), Rc::default());
        let pipe = |is_client, inbox: &Rc<_>, outbox: &Rc<_>| Pipe {
            is_client,
            sent: Rc::clone(&sent),
            inbox: Rc::clone(inbox),
            outbox: Rc::clone(outbox),
        };
        let mut ssl = Ssl::new(&self.client).unwrap();
        if let Some(session) = resume {
            // SAFETY: the session was made by a context with the same settings, as the function asks.
            #[expect(unsafe_code, reason = "openssl marks the call unsafe for sessions of other contexts")]
            unsafe {
                ssl.set_session(session).unwrap()
            };
        }
        let mut client = SslStream::new(ssl, pipe(true, &down, &up)).unwrap();
        let mut server = SslStream::new(Ssl::new(&self.server).unwrap(), pipe(false, &up, &down)).unwrap();
        let (mut done_client, mut done_server) = (false, false);
        while !(done_client && done_server) {
            done_client |= step(client.connect());
            done_server |= step(server.accept());
        }
        let mut buffer = [0; 4096];
        for (number, message) in messages.iter().enumerate() {
            let (from, to) =
                if number % 2 == 0 { (&mut client, &mut server) } else { (&mut server, &mut client) };
            assert_eq!(from.ssl_write(message).unwrap(), message.len());
            let length = to.ssl_read(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], message);
        }
        let _ = client.shutdown();
        let was_resumed = client.ssl().session_reused();
        drop((client, server));
        let datagrams = Rc::try_unwrap(sent).unwrap().into_inner();
        Run { datagrams, session: self.sessions.lock().unwrap().clone(), was_resumed }
    }
}

fn step(result: Result<(), openssl::ssl::Error>) -> bool {
    match result {
        Ok(()) => true,
        Err(why) if why.code() == ErrorCode::WANT_READ => false,
        Err(why) => panic!("{why}"),
    }
}

/// Requests and responses: non-confirmable, each pair under a token of its own.
fn messages() -> Vec<Vec<u8>> {
    let pair = |token: u8| {
        let payload = vec![token; usize::from(token) * 40 + 1];
        let with = |head: &[u8]| [head, &payload].concat();
        [with(&[0x51, 3, 0, token, token, 0xb1, b'9', 0xff]), with(&[0x51, 0x45, 9, token, token, 0xff])]
    };
    (1..6).flat_map(pair).collect()
}

/// Reads datagrams, and returns what has been told and the bytes that details are made of.
fn read(
    capture: &mut Capture,
    datagrams: &[(bool, Vec<u8>)],
) -> (Vec<Session>, Vec<Exchange>, HashMap<u64, Vec<u8>>) {
    let (client, server): (SocketAddr, SocketAddr) =
        ("10.0.0.1:5000".parse().unwrap(), "10.0.0.2:8008".parse().unwrap());
    let (mut sessions, mut exchanges, mut file) = (Vec::new(), Vec::new(), HashMap::new());
    let mut take = |event| match event {
        Event::Session(session) => sessions.push(session),
        Event::Exchange(exchange) => exchanges.push(exchange),
        other => panic!("{other:?}"),
    };
    for (at, (from_client, payload)) in datagrams.iter().enumerate() {
        let (from, to) = if *from_client { (client, server) } else { (server, client) };
        let (frame, offset) = (at as u64 + 1, at as u64 * 65_536);
        file.insert(offset, payload.clone());
        let datagram = Datagram {
            frame,
            offset: Some(offset),
            time: Time(frame),
            from,
            to,
            payload,
            length: payload.len(),
        };
        capture.datagram(&datagram, &mut take);
    }
    capture.finish(&mut take);
    exchanges.sort_by_key(|exchange| exchange.number);
    (sessions, exchanges, file)
}

/// Reads a run, and asserts that every message has come out.
fn check(run: &Run, key_log: &str, suite: u16) -> Session {
    let mut capture = Capture::new(Options::default());
    capture.add_secrets(key_log.as_bytes(), 1);
    let (sessions, exchanges, file) = read(&mut capture, &run.datagrams);
    let [session] = &sessions[..] else { panic!("{sessions:?}") };
    assert_eq!((session.suite, session.keys), (Suite::from_id(suite), Keys::Proven));
    assert_eq!(session.unread, []);
    let mut read = Vec::new();
    for exchange in &exchanges {
        let detail = capture.detail(exchange, &mut |offset, length| {
            let from = (offset % 65_536) as usize;
            file.get(&(offset - from as u64))?.get(from..from + length).map(<[u8]>::to_vec)
        });
        let [asked, answered] = [detail.request_body, detail.response_body].map(|body| body.unwrap().bytes);
        read.push((asked, answered));
    }
    let all = messages();
    let expected: Vec<_> = all.chunks(2).map(|pair| (pair[0][8..].to_vec(), pair[1][6..].to_vec())).collect();
    assert_eq!(read, expected, "{suite:#06x}");
    session.clone()
}

#[test]
fn every_plaintext_of_every_suite_comes_out_and_of_resumed_sessions_too() {
    let (p256, rsa) = (p256(), PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap());
    for (number, suite, key) in [
        (0xcca9, "ECDHE-ECDSA-CHACHA20-POLY1305", &p256),
        (0xcca8, "ECDHE-RSA-CHACHA20-POLY1305", &rsa),
        (0xc02b, "ECDHE-ECDSA-AES128-GCM-SHA256", &p256),
        (0xc02f, "ECDHE-RSA-AES128-GCM-SHA256", &rsa),
        (0xc02c, "ECDHE-ECDSA-AES256-GCM-SHA384", &p256),
        (0xc030, "ECDHE-RSA-AES256-GCM-SHA384", &rsa),
        (0xc0ae, "ECDHE-ECDSA-AES128-CCM8", &p256),
        (0xc0ac, "ECDHE-ECDSA-AES128-CCM", &p256),
        (0xc0ad, "ECDHE-ECDSA-AES256-CCM", &p256),
        (0xc0af, "ECDHE-ECDSA-AES256-CCM8", &p256),
        (0x009c, "AES128-GCM-SHA256", &rsa),
        (0x00a8, "PSK-AES128-GCM-SHA256", &p256),
        (0x00a9, "PSK-AES256-GCM-SHA384", &p256),
        (0xc0a4, "PSK-AES128-CCM", &p256),
        (0xc0a8, "PSK-AES128-CCM8", &p256),
        (0xc0a9, "PSK-AES256-CCM8", &p256),
        (0xccab, "PSK-CHACHA20-POLY1305", &p256),
        (0xccac, "ECDHE-PSK-CHACHA20-POLY1305", &p256),
    ] {
        let ends = Ends::new(suite, key);
        let first = ends.meet(None, &messages());
        let log = ends.key_log.lock().unwrap().clone();
        let session = check(&first, &log, number);
        assert!(!session.resumed && !first.was_resumed);
        let again = ends.meet(Some(&first.session.unwrap()), &messages());
        assert!(again.was_resumed, "{suite}");
        let log = ends.key_log.lock().unwrap().clone();
        // By a ticket the server names no session id that the client has offered, so only the keys tell.
        check(&again, &log, number);
    }
}

#[test]
fn a_capture_with_a_lost_datagram_loses_its_messages_alone() {
    let ends = Ends::new("ECDHE-ECDSA-AES128-GCM-SHA256", &p256());
    let run = ends.meet(None, &messages());
    let log = ends.key_log.lock().unwrap().clone();
    let messages_from = run.datagrams.len() - messages().len() - 1;
    for lost in 0..run.datagrams.len() {
        let mut datagrams = run.datagrams.clone();
        datagrams.remove(lost);
        let mut capture = Capture::new(Options::default());
        capture.add_secrets(log.as_bytes(), 1);
        let mut read = 0;
        let client: SocketAddr = "10.0.0.1:5000".parse().unwrap();
        let server: SocketAddr = "10.0.0.2:8008".parse().unwrap();
        for (at, (from_client, payload)) in datagrams.iter().enumerate() {
            let (from, to) = if *from_client { (client, server) } else { (server, client) };
            let length = payload.len();
            let (frame, offset, time) = (at as u64 + 1, None, Time(at as u64));
            capture.datagram(&Datagram { frame, offset, time, from, to, payload, length }, &mut |_| {});
        }
        capture.finish(&mut |event| {
            if let Event::Exchange(exchange) = event {
                read += exchange.messages.len();
            }
        });
        let all = messages().len();
        let expected = if lost >= messages_from && lost + 1 < run.datagrams.len() { all - 1 } else { all };
        // Without the first hello there is the one with the cookie, or nothing else with the random.
        assert!(read == expected || (lost < messages_from && read == 0), "without {lost}: {read}");
    }
}
