//! Certificate and private key: read here, judged by the transport that serves them.

use lowband_transport::dtls::{self, Endpoint, ServerIdentity};
use openssl::asn1::Asn1Time;
use openssl::x509::X509;
use std::path::Path;

/// An identity that can be served.
#[derive(Debug, Clone)]
pub struct Identity {
    /// What the transport takes.
    pub server: ServerIdentity,
    /// Something clients will stumble over, though it works: told at start.
    pub warning: Option<String>,
}

/// How the transport begins what it says about the key; the rest is about the certificate.
const ABOUT_KEY: &str = "private key: ";
const ABOUT_CERTIFICATE: &str = "certificate: ";

/// Phrases to stand behind an option's name and value.
#[derive(Debug, Default)]
pub(super) struct IdentityMistakes {
    pub(super) certificate: Vec<String>,
    pub(super) key: Vec<String>,
}

/// Reads both files and lets the transport hold them against each other.
pub(super) fn load(certificate: &Path, key: &Path) -> Result<Identity, IdentityMistakes> {
    let (chain, chain_unread) = read(certificate);
    let (private, key_unread) = read(key);
    let server = ServerIdentity { certificate_chain: chain, private_key: private };
    let mut mistakes = IdentityMistakes::default();
    let config = dtls::Config { server: Some(server.clone()), ..dtls::Config::default() };
    if let Err(error) = Endpoint::new(config, [0; 32]) {
        for line in error.mistakes() {
            match line.strip_prefix(ABOUT_KEY) {
                Some(why) => mistakes.key.push(why.to_owned()),
                None => mistakes.certificate.push(line.trim_start_matches(ABOUT_CERTIFICATE).to_owned()),
            }
        }
    }
    // What the transport says about a file that cannot be read is noise.
    if let Some(why) = chain_unread {
        mistakes.certificate = vec![why];
    }
    if let Some(why) = key_unread {
        mistakes.key = vec![why];
    }
    if !mistakes.certificate.is_empty() || !mistakes.key.is_empty() {
        return Err(mistakes);
    }
    let warning = X509::from_pem(&server.certificate_chain).ok().and_then(|leaf| validity_warning(&leaf));
    Ok(Identity { server, warning })
}

/// The content, or none and why.
fn read(path: &Path) -> (Vec<u8>, Option<String>) {
    match std::fs::read(path) {
        Ok(content) => (content, None),
        Err(why) => (Vec::new(), Some(format!("cannot be read: {why}"))),
    }
}

fn validity_warning(leaf: &X509) -> Option<String> {
    let now = Asn1Time::days_from_now(0).ok()?;
    if leaf.not_after() < now {
        return Some(format!("the certificate has expired: {}", leaf.not_after()));
    }
    if leaf.not_before() > now {
        return Some(format!("the certificate is not valid before {}", leaf.not_before()));
    }
    None
}
