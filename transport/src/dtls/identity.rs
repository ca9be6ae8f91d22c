//! Certificate and key of the accepting side, checked so that an operator learns what is wrong with them.

use super::config::ServerIdentity;
use crate::{CertificateMistake, KeyMistake, Mistake};
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::x509::X509;
use zeroize::Zeroizing;

/// What OpenSSL can use in DTLS 1.2.
pub(super) struct Identity {
    pub(super) leaf: X509,
    /// Issuers in the order of the file.
    pub(super) issuers: Vec<X509>,
    pub(super) key: PKey<Private>,
}

/// Shorter RSA keys are refused by the clients of today anyway.
const MIN_RSA_BITS: u32 = 2048;

/// Returns the identity, or each mistake in it.
pub(super) fn parse(identity: &ServerIdentity) -> Result<Identity, Vec<Mistake>> {
    let chain = parse_chain(&identity.certificate_chain).map_err(Mistake::Certificate);
    let key = parse_key(&identity.private_key).map_err(Mistake::PrivateKey);
    match (chain, key) {
        (Ok((leaf, issuers)), Ok(key)) => {
            check_pair(&leaf, &issuers, &key).map_err(|mistake| vec![mistake])?;
            Ok(Identity { leaf, issuers, key })
        }
        (chain, key) => Err([chain.err(), key.err()].into_iter().flatten().collect()),
    }
}

/// Returns what makes the key a secret, whatever form its file has: the scalar of an elliptic curve, the
/// private exponent of RSA. None when it cannot be read.
pub(super) fn private_number(identity: &ServerIdentity) -> Option<Zeroizing<Vec<u8>>> {
    let key = parse_key(&identity.private_key).ok()?;
    match key.id() {
        Id::RSA => Some(key.rsa().ok()?.d().to_vec().into()),
        _ => Some(key.ec_key().ok()?.private_key().to_vec().into()),
    }
}

fn parse_chain(pem: &[u8]) -> Result<(X509, Vec<X509>), CertificateMistake> {
    if is_empty(pem) {
        return Err(CertificateMistake::Empty);
    }
    if !is_pem(pem) {
        return Err(CertificateMistake::NotPem);
    }
    if !contains(pem, "-----BEGIN CERTIFICATE-----") {
        return Err(CertificateMistake::NoBlock { holds_key: contains(pem, "PRIVATE KEY-----") });
    }
    let certificates = X509::stack_from_pem(pem).map_err(|_| CertificateMistake::Damaged)?;
    let mut certificates = certificates.into_iter();
    let leaf = certificates.next().ok_or(CertificateMistake::NoBlock { holds_key: false })?;
    Ok((leaf, certificates.collect()))
}

fn parse_key(pem: &[u8]) -> Result<PKey<Private>, KeyMistake> {
    if is_empty(pem) {
        return Err(KeyMistake::Empty);
    }
    if !is_pem(pem) {
        return Err(KeyMistake::NotPem);
    }
    // Both forms, PKCS#8 and the older one; OpenSSL would ask for the passphrase at the terminal.
    if contains(pem, "ENCRYPTED") {
        return Err(KeyMistake::Encrypted);
    }
    if !contains(pem, "PRIVATE KEY-----") {
        return Err(KeyMistake::NoBlock { holds_certificate: contains(pem, "CERTIFICATE-----") });
    }
    let key = PKey::private_key_from_pem_callback(pem, |_| Ok(0)).map_err(|_| KeyMistake::Damaged)?;
    check_kind(&key)?;
    Ok(key)
}

fn check_kind(key: &PKey<Private>) -> Result<(), KeyMistake> {
    match key.id() {
        Id::EC => {
            let curve = key.ec_key().ok().and_then(|key| key.group().curve_name());
            if curve == Some(Nid::X9_62_PRIME256V1) {
                return Ok(());
            }
            Err(KeyMistake::Curve { curve: curve.and_then(|nid| nid.short_name().ok()).unwrap_or("unnamed") })
        }
        Id::RSA if key.bits() >= MIN_RSA_BITS => Ok(()),
        Id::RSA => Err(KeyMistake::WeakRsa { bits: key.bits(), least: MIN_RSA_BITS }),
        Id::ED25519 | Id::ED448 => Err(KeyMistake::EdwardsCurve),
        _ => Err(KeyMistake::Kind),
    }
}

fn check_pair(leaf: &X509, issuers: &[X509], key: &PKey<Private>) -> Result<(), Mistake> {
    let belongs = |certificate: &X509| certificate.public_key().is_ok_and(|public| key.public_eq(&public));
    if belongs(leaf) {
        return Ok(());
    }
    match issuers.iter().position(belongs) {
        Some(at) => Err(Mistake::Certificate(CertificateMistake::NotFirst { number: at + 2 })),
        None => Err(Mistake::PrivateKey(KeyMistake::OfAnotherCertificate)),
    }
}

fn is_empty(pem: &[u8]) -> bool {
    pem.iter().all(u8::is_ascii_whitespace)
}

fn is_pem(pem: &[u8]) -> bool {
    contains(pem, "-----BEGIN ")
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
