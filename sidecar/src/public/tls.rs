//! TLS towards clients, with an identity that may be exchanged while connections are there.

use lowband_transport::dtls::ServerIdentity;
use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{
    AlpnError, Ssl, SslAcceptor, SslContext, SslMethod, SslMode, SslOptions, SslSessionCacheMode,
    select_next_proto,
};
use openssl::x509::X509;
use std::io;
use std::pin::Pin;
use std::sync::{PoisonError, RwLock};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

/// HTTP/2 before HTTP/1.1 (RFC 7301 section 3.1).
const PROTOCOLS: &[u8] = b"\x02h2\x08http/1.1";

/// The identity that new connections are shown.
pub(super) struct Tls(RwLock<SslContext>);

impl Tls {
    /// Begins with this identity.
    pub(super) fn new(identity: &ServerIdentity) -> Result<Tls, ErrorStack> {
        Ok(Tls(RwLock::new(context(identity)?)))
    }

    /// Shows another identity from now on; connections that are there keep theirs.
    pub(super) fn renew(&self, identity: &ServerIdentity) -> Result<(), ErrorStack> {
        let context = context(identity)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = context;
        Ok(())
    }

    /// Makes the handshake.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<SslStream<TcpStream>> {
        let ssl = Ssl::new(&self.0.read().unwrap_or_else(PoisonError::into_inner))?;
        let mut stream = SslStream::new(ssl, stream)?;
        Pin::new(&mut stream).accept().await.map_err(io::Error::other)?;
        Ok(stream)
    }
}

/// Makes the context for an identity: TLS 1.2 and 1.3, the ciphers that Mozilla calls intermediate.
fn context(identity: &ServerIdentity) -> Result<SslContext, ErrorStack> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    let mut chain = X509::stack_from_pem(&identity.certificate_chain)?.into_iter();
    if let Some(leaf) = chain.next() {
        builder.set_certificate(&leaf)?;
    }
    for issuer in chain {
        builder.add_extra_chain_cert(issuer)?;
    }
    builder.set_private_key(PKey::private_key_from_pem(&identity.private_key)?.as_ref())?;
    builder.check_private_key()?;
    // A client resumes by its ticket (RFC 5077, RFC 8446 section 2.2), so nothing is kept for it here; and it
    // cannot have a handshake made again and again on one connection.
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_options(SslOptions::NO_RENEGOTIATION);
    // Most connections wait for a long poll, and then need no buffers: 34 kB each.
    builder.set_mode(SslMode::RELEASE_BUFFERS);
    // A client that knows neither goes without (RFC 7301 has an alert for it, which some take badly).
    builder
        .set_alpn_select_callback(|_, offered| select_next_proto(PROTOCOLS, offered).ok_or(AlpnError::NOACK));
    Ok(builder.build().into_context())
}
