//! What keys are derived from, out of OpenSSL.

use super::failure::HandshakeFailure;
use super::suite;
use lowband_wire::dtls::keys::Secrets;
use openssl::ssl::SslRef;
use zeroize::Zeroizing;

/// Takes the secrets out of OpenSSL, once a suite has been agreed and the master secret is there.
pub(super) fn secrets_of(ssl: &SslRef) -> Result<Secrets, HandshakeFailure> {
    let id = ssl.current_cipher().ok_or(HandshakeFailure::NoSecrets)?.protocol_id();
    let suite = suite::accepted(u16::from_be_bytes(id)).ok_or(HandshakeFailure::ForeignSuite)?;
    let mut secrets =
        Secrets { suite, master: Zeroizing::new([0; 48]), client_random: [0; 32], server_random: [0; 32] };
    let lengths = [
        ssl.session().ok_or(HandshakeFailure::NoSecrets)?.master_key(secrets.master.as_mut_slice()),
        ssl.client_random(&mut secrets.client_random),
        ssl.server_random(&mut secrets.server_random),
    ];
    if lengths == [48, 32, 32] { Ok(secrets) } else { Err(HandshakeFailure::NoSecrets) }
}
