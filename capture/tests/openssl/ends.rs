//! Two ends of OpenSSL over a link in memory, with a key log of what they agree on.

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
use std::collections::VecDeque;
use std::io::{self, Read, Write};
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

/// Makes a key for suites with ECDSA.
pub(crate) fn p256() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

/// Makes a key for suites with RSA.
pub(crate) fn rsa() -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
}

fn builder(method: SslMethod, suite: &str) -> SslContextBuilder {
    let mut builder = SslContext::builder(method).unwrap();
    builder.set_cipher_list(&format!("{suite}:@SECLEVEL=0")).unwrap();
    builder.set_verify(SslVerifyMode::NONE);
    builder
}

/// What one run has left behind.
pub(crate) struct Run {
    /// True for what the client has sent.
    pub(crate) datagrams: Vec<(bool, Vec<u8>)>,
    pub(crate) session: Option<SslSession>,
    pub(crate) was_resumed: bool,
}

/// Both ends of a suite, which may meet several times.
pub(crate) struct Ends {
    client: SslContext,
    server: SslContext,
    pub(crate) key_log: Arc<Mutex<String>>,
    sessions: Arc<Mutex<Option<SslSession>>>,
}

impl Ends {
    pub(crate) fn new(suite: &str, key: &PKey<Private>) -> Ends {
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
    pub(crate) fn meet(&self, resume: Option<&SslSession>, messages: &[Vec<u8>]) -> Run {
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
pub(crate) fn messages() -> Vec<Vec<u8>> {
    let pair = |token: u8| {
        let payload = vec![token; usize::from(token) * 40 + 1];
        let with = |head: &[u8]| [head, &payload].concat();
        [with(&[0x51, 3, 0, token, token, 0xb1, b'9', 0xff]), with(&[0x51, 0x45, 9, token, token, 0xff])]
    };
    (1..6).flat_map(pair).collect()
}
