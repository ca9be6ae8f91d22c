//! OpenSSL's contexts for both roles, and the objects made from them.

use super::config::{Config, ServerIdentity, Verification};
use super::ffi;
use super::identity::{self, Identity};
use super::pipe::Pipe;
use super::suite;
use crate::{Mistake, SetupError};
use lowband_wire::dtls::extension::MaxFragmentLength;
use lowband_wire::dtls::hello;
use lowband_wire::dtls::record::RecordNumber;
use openssl::error::ErrorStack;
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslMethod, SslOptions, SslSessionCacheMode, SslStream, SslVerifyMode,
    SslVersion,
};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::X509CheckFlags;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// X25519 is the quicker one; with a P-256 certificate its curve must be in the list too. Short, because it
/// travels in each ClientHello.
const OFFERED_GROUPS: &str = "X25519:P-256";
/// The server's list is never sent. P-384 is for clients that are not allowed anything below; they need an
/// RSA certificate, because a P-256 key takes its curve's place in the client's list (RFC 8422 section 5.1).
const ACCEPTED_GROUPS: &str = "X25519:P-256:P-384";
/// Leaves out SHA-1, which `@SECLEVEL=0` would let in. Short, because it travels in each ClientHello.
const SIGNATURES: &str = "ECDSA+SHA256:ECDSA+SHA384:RSA-PSS+SHA256:RSA+SHA256:RSA+SHA384:RSA+SHA512";
/// Key log lines kept until they are fetched, which is after each call: a datagram brings one at most.
const MAX_KEY_LOG: usize = 32;

/// What handshakes are made from.
pub(super) struct Contexts {
    server: Option<SslContext>,
    client: Option<Client>,
    mtu: u32,
    key_log: Option<Arc<Mutex<KeyLog>>>,
}

/// Makes the objects of accepted handshakes, wherever that is done.
#[derive(Clone)]
pub(super) struct Acceptor {
    context: SslContext,
    mtu: u32,
}

struct Client {
    context: SslContext,
    verifies: bool,
}

/// OpenSSL reports its lines from within a handshake.
#[derive(Default)]
struct KeyLog {
    lines: VecDeque<String>,
    lost: u64,
}

impl Contexts {
    pub(super) fn new(config: &Config) -> Result<Contexts, SetupError> {
        let mut mistakes = config.limits.mistakes();
        let key_log = config.key_log.then(Arc::<Mutex<KeyLog>>::default);
        let mut keep = |result: Result<SslContext, Vec<Mistake>>| match result {
            Ok(context) => Some(context),
            Err(more) => {
                mistakes.extend(more);
                None
            }
        };
        let server =
            config.server.as_ref().and_then(|identity| keep(server_context(identity, key_log.clone())));
        let client = config.client.as_ref().and_then(|verification| {
            let context = keep(client_context(verification, key_log.clone(), config.max_fragment_length))?;
            Some(Client { context, verifies: !matches!(verification, Verification::None) })
        });
        SetupError::unless_empty(mistakes)?;
        let mtu = u32::try_from(config.limits.mtu).unwrap_or(u32::MAX);
        Ok(Contexts { server, client, mtu, key_log })
    }

    pub(super) fn accepts(&self) -> bool {
        self.server.is_some()
    }

    /// Makes objects from this identity from now on; those that exist keep theirs.
    pub(super) fn renew(&mut self, identity: &ServerIdentity) -> Result<(), SetupError> {
        let server = self.server.as_mut().ok_or(Mistake::DoesNotAccept)?;
        match server_context(identity, self.key_log.clone()) {
            Ok(context) => *server = context,
            Err(mistakes) => return SetupError::unless_empty(mistakes),
        }
        Ok(())
    }

    pub(super) fn acceptor(&self) -> Option<Acceptor> {
        self.server.clone().map(|context| Acceptor { context, mtu: self.mtu })
    }

    /// Makes an object that is about to send its ClientHello.
    pub(super) fn connect(&self, server_name: &str) -> Result<SslStream<Pipe>, SetupError> {
        let client = self.client.as_ref().ok_or(Mistake::DoesNotConnect)?;
        let name = server_name.strip_suffix('.').unwrap_or(server_name);
        let valid = !name.is_empty() && name.len() <= 253 && name.bytes().all(|b| b.is_ascii_graphic());
        if !valid {
            return Err(Mistake::ServerName(server_name.to_owned()).into());
        }
        let stream = object(&client.context, self.mtu).and_then(|mut ssl| {
            let ip = name.parse::<IpAddr>();
            // RFC 6066 section 3: no IP addresses in SNI.
            if ip.is_err() {
                ssl.set_hostname(name)?;
            }
            if client.verifies {
                let parameters = ssl.param_mut();
                parameters.set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS);
                match ip {
                    Ok(ip) => parameters.set_ip(ip)?,
                    Err(_) => parameters.set_host(name)?,
                }
            }
            ssl.set_connect_state();
            SslStream::new(ssl, Pipe::default())
        });
        stream.map_err(|error| openssl_failed(error).into())
    }

    pub(super) fn poll_key_log(&self) -> Option<String> {
        self.key_log.as_ref().and_then(|log| lock(log).lines.pop_front())
    }
    pub(super) fn key_log_lost(&self) -> u64 {
        self.key_log.as_ref().map_or(0, |log| lock(log).lost)
    }
}

impl Acceptor {
    /// Makes an object that waits for a ClientHello with `message_seq`: walked past that many
    /// HelloVerifyRequests of its own, because OpenSSL takes no other hello than one of message_seq 0 first.
    pub(super) fn accept(&self, message_seq: u16) -> Result<SslStream<Pipe>, SetupError> {
        let stream = object(&self.context, self.mtu).and_then(|mut ssl| {
            ssl.set_accept_state();
            SslStream::new(ssl, Pipe::default())
        });
        let mut stream = stream.map_err(openssl_failed)?;
        for seq in 0..message_seq {
            stream.get_mut().push(canned_hello(seq));
            // The object waits for the next hello; any other error shows when the real one comes.
            let _ = stream.do_handshake();
        }
        stream.get_mut().take_outgoing();
        Ok(stream)
    }
}

/// Makes a minimal ClientHello without cookie, which walks a fresh OpenSSL object past its own
/// HelloVerifyRequest.
pub(super) fn canned_hello(message_seq: u16) -> Vec<u8> {
    // version, random, empty session id, empty cookie, one suite, null compression
    let body = [&[0xfe, 0xfd][..], &[0; 32], &[0], &[0], &[0, 2, 0xc0, 0x2b], &[1, 0]].concat();
    hello::build(RecordNumber::new(0, u64::from(message_seq)), message_seq, &body)
}

fn object(context: &SslContext, mtu: u32) -> Result<Ssl, ErrorStack> {
    let mut ssl = Ssl::new(context)?;
    ssl.set_mtu(mtu)?;
    ffi::never_repeat(&mut ssl);
    Ok(ssl)
}

fn lock(log: &Mutex<KeyLog>) -> std::sync::MutexGuard<'_, KeyLog> {
    // A panic leaves nothing half-done in the log.
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

fn openssl_failed(error: ErrorStack) -> Mistake {
    Mistake::OpenSsl(error.to_string())
}

fn openssl_mistake(error: ErrorStack) -> Vec<Mistake> {
    vec![openssl_failed(error)]
}

/// Sets what both roles have in common.
fn builder(method: SslMethod, key_log: Option<Arc<Mutex<KeyLog>>>) -> Result<SslContextBuilder, ErrorStack> {
    let mut builder = SslContext::builder(method)?;
    builder.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
    builder.set_max_proto_version(Some(SslVersion::DTLS1_2))?;
    // Without NO_QUERY_MTU the MTU is forgotten and messages leave in pieces of 256 bytes.
    builder.set_options(
        SslOptions::NO_QUERY_MTU
            | SslOptions::NO_TICKET
            | SslOptions::NO_RENEGOTIATION
            | ffi::no_encrypt_then_mac(),
    );
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_sigalgs_list(SIGNATURES)?;
    if let Some(log) = key_log {
        builder.set_keylog_callback(move |_, line| {
            let mut log = lock(&log);
            if log.lines.len() < MAX_KEY_LOG {
                log.lines.push_back(line.to_owned());
            } else {
                log.lost += 1;
            }
        });
    }
    Ok(builder)
}

/// Makes the context of the accepting side. It has no callback for SNI: the empty `server_name` with which
/// OpenSSL would acknowledge it makes the pion of the reference clients fail.
fn server_context(
    identity: &ServerIdentity,
    key_log: Option<Arc<Mutex<KeyLog>>>,
) -> Result<SslContext, Vec<Mistake>> {
    let Identity { leaf, issuers, key } = identity::parse(identity)?;
    let suites = suite::list_to_accept(key_log.is_some());
    let build = || {
        let mut builder = builder(SslMethod::dtls_server(), key_log)?;
        builder.set_groups_list(ACCEPTED_GROUPS)?;
        // From OpenSSL 3.2 on, CCM_8 exists at security level 0 only (RFC 7252 section 9.1.3.3 makes it
        // mandatory). What the level guards otherwise is fixed here: suites, groups, signatures, version,
        // key size.
        builder.set_cipher_list(&format!("{suites}:@SECLEVEL=0"))?;
        builder.set_options(SslOptions::CIPHER_SERVER_PREFERENCE | SslOptions::COOKIE_EXCHANGE);
        // The front has checked the cookie already; the one that is made here is never sent.
        builder.set_cookie_generate_cb(|_, cookie| {
            cookie.first_mut().map_or(Err(ErrorStack::get()), |byte| {
                *byte = 0;
                Ok(1)
            })
        });
        builder.set_cookie_verify_cb(|_, _| true);
        builder.set_certificate(&leaf)?;
        for issuer in issuers {
            builder.add_extra_chain_cert(issuer)?;
        }
        builder.set_private_key(&key)?;
        builder.check_private_key()?;
        Ok(builder.build())
    };
    build().map_err(openssl_mistake)
}

/// Returns the context of the connecting side. All that believe what the system does share one, and with it
/// the certificates: to read them takes some 25 ms and 0.9 MB each time. What the system believes since the
/// first of them counts from the next start of the program on.
fn client_context(
    verification: &Verification,
    key_log: Option<Arc<Mutex<KeyLog>>>,
    max_fragment_length: Option<MaxFragmentLength>,
) -> Result<SslContext, Vec<Mistake>> {
    static OF_THE_SYSTEM: OnceLock<SslContext> = OnceLock::new();
    let is_shared =
        matches!(verification, Verification::System) && key_log.is_none() && max_fragment_length.is_none();
    match OF_THE_SYSTEM.get() {
        Some(context) if is_shared => Ok(context.clone()),
        _ => {
            let context = new_client_context(verification, key_log, max_fragment_length)?;
            Ok(if is_shared { OF_THE_SYSTEM.get_or_init(|| context).clone() } else { context })
        }
    }
}

fn new_client_context(
    verification: &Verification,
    key_log: Option<Arc<Mutex<KeyLog>>>,
    max_fragment_length: Option<MaxFragmentLength>,
) -> Result<SslContext, Vec<Mistake>> {
    let suites = suite::list_to_offer(key_log.is_some());
    let build = || {
        let mut builder = builder(SslMethod::dtls_client(), key_log)?;
        builder.set_groups_list(OFFERED_GROUPS)?;
        builder.set_cipher_list(&suites)?;
        if max_fragment_length
            .is_some_and(|length| !ffi::ask_for_max_fragment_length(&mut builder, length as u8))
        {
            return Err(ErrorStack::get());
        }
        Ok(builder)
    };
    let mut builder = build().map_err(openssl_mistake)?;
    match verification {
        Verification::None => builder.set_verify(SslVerifyMode::NONE),
        Verification::System => {
            builder.set_verify(SslVerifyMode::PEER);
            builder.set_default_verify_paths().map_err(openssl_mistake)?;
        }
        Verification::Roots(pem) => {
            builder.set_verify(SslVerifyMode::PEER);
            let roots = X509::stack_from_pem(pem).unwrap_or_default();
            if roots.is_empty() {
                return Err(vec![Mistake::Roots]);
            }
            let mut store = X509StoreBuilder::new().map_err(openssl_mistake)?;
            for root in roots {
                store.add_cert(root).map_err(openssl_mistake)?;
            }
            builder.set_cert_store(store.build());
        }
    }
    Ok(builder.build())
}

#[cfg(test)]
mod tests {
    use super::*;
    use foreign_types::ForeignType;

    #[test]
    fn the_certificates_of_the_system_are_read_once_for_all_sessions_that_keep_no_log() {
        let of = |config: &Config| Contexts::new(config).unwrap().client.unwrap().context;
        let system = Config { client: Some(Verification::System), ..Config::default() };
        let logged = Config { key_log: true, ..system.clone() };
        let none = Config { client: Some(Verification::None), ..Config::default() };
        let (first, second) = (of(&system), of(&system));
        assert_eq!(first.as_ptr(), second.as_ptr());
        let (one, other) = (of(&logged), of(&logged));
        assert_ne!(one.as_ptr(), other.as_ptr(), "a log is of one session");
        assert!([one.as_ptr(), of(&none).as_ptr()].iter().all(|own| *own != first.as_ptr()));
    }
}
