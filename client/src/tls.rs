//! TLS over TCP with the trust of a connection: for HTTPS, which clients fall back to where no datagram gets
//! through.

use crate::key_log::KeyLogFile;
use lowband_transport::dtls::Verification;
use openssl::error::ErrorStack;
use openssl::ssl::{ConnectConfiguration, SslConnector, SslConnectorBuilder, SslMethod, SslVerifyMode};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use std::sync::{Mutex, PoisonError};

/// Returns a connector that believes the certificates that a connection with this verification believes, and
/// appends its secrets to the key log, if there is one.
///
/// Each connection has to be [`checked`] as well. Fails if OpenSSL does, or for [`Verification::Roots`] that
/// are not certificates in PEM format.
pub fn connector(
    verification: &Verification,
    key_log: Option<KeyLogFile>,
) -> Result<SslConnectorBuilder, ErrorStack> {
    let mut connector = SslConnector::builder(SslMethod::tls_client())?;
    match verification {
        Verification::System => {}
        Verification::None => connector.set_verify(SslVerifyMode::NONE),
        Verification::Roots(pem) => {
            let mut roots = X509StoreBuilder::new()?;
            for certificate in X509::stack_from_pem(pem)? {
                roots.add_cert(certificate)?;
            }
            connector.set_cert_store(roots.build());
        }
    }
    if let Some(file) = key_log {
        let file = Mutex::new(file);
        connector.set_keylog_callback(move |_, line| {
            // A log that cannot be written (a full disk) has a gap, and the connection goes on.
            let _ = file.lock().unwrap_or_else(PoisonError::into_inner).append(line);
        });
    }
    Ok(connector)
}

/// Has a connection verify that the certificate is made out to the host that it asks for, unless nothing is
/// to be verified.
pub fn checked(configuration: &mut ConnectConfiguration, verification: &Verification) {
    configuration.set_verify_hostname(!matches!(verification, Verification::None));
}
