//! Certificate and key of the accepting side, checked so that an operator is told what is wrong with them.

use super::config::ServerIdentity;
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

/// Below this RSA is refused by clients of today anyway.
const MIN_RSA_BITS: u32 = 2048;

/// The identity, or one line for each mistake.
pub(super) fn parse(identity: &ServerIdentity) -> Result<Identity, Vec<String>> {
    let chain = parse_chain(&identity.certificate_chain);
    let key = parse_key(&identity.private_key);
    match (chain, key) {
        (Ok((leaf, issuers)), Ok(key)) => {
            check_pair(&leaf, &issuers, &key).map_err(|mistake| vec![mistake])?;
            Ok(Identity { leaf, issuers, key })
        }
        (chain, key) => Err([chain.err(), key.err()].into_iter().flatten().collect()),
    }
}

/// What makes the key a secret, whatever form its file has: the scalar of an elliptic curve, the private exponent of RSA. None
/// when it cannot be read.
pub(super) fn private_number(identity: &ServerIdentity) -> Option<Zeroizing<Vec<u8>>> {
    let key = parse_key(&identity.private_key).ok()?;
    match key.id() {
        Id::RSA => Some(key.rsa().ok()?.d().to_vec().into()),
        _ => Some(key.ec_key().ok()?.private_key().to_vec().into()),
    }
}

fn parse_chain(pem: &[u8]) -> Result<(X509, Vec<X509>), String> {
    check_pem("certificate", pem)?;
    if !contains(pem, "-----BEGIN CERTIFICATE-----") {
        let hint = if contains(pem, "PRIVATE KEY-----") {
            ": it holds a key; are the two files swapped?"
        } else {
            ""
        };
        return Err(format!("certificate: no CERTIFICATE block in it{hint}"));
    }
    let mut certificates = X509::stack_from_pem(pem)
        .map_err(|_| "certificate: a CERTIFICATE block cannot be decoded; the file is damaged".to_owned())?
        .into_iter();
    let leaf = certificates.next().ok_or("certificate: no CERTIFICATE block in it")?;
    Ok((leaf, certificates.collect()))
}

fn parse_key(pem: &[u8]) -> Result<PKey<Private>, String> {
    check_pem("private key", pem)?;
    // Both forms, PKCS#8 and the older one; OpenSSL would ask for the passphrase at the terminal.
    if contains(pem, "ENCRYPTED") {
        return Err(
            "private key: it is encrypted; remove the passphrase with `openssl pkey -in KEY -out NEW`".into(),
        );
    }
    if !contains(pem, "PRIVATE KEY-----") {
        let hint = if contains(pem, "CERTIFICATE-----") {
            ": it holds a certificate; are the two files swapped?"
        } else {
            ""
        };
        return Err(format!("private key: no PRIVATE KEY block in it{hint}"));
    }
    let key = PKey::private_key_from_pem_callback(pem, |_| Ok(0))
        .map_err(|_| "private key: the block cannot be decoded; the file is damaged".to_owned())?;
    check_kind(&key)?;
    Ok(key)
}

fn check_pem(what: &str, pem: &[u8]) -> Result<(), String> {
    if pem.iter().all(u8::is_ascii_whitespace) {
        Err(format!("{what}: the file is empty"))
    } else if !contains(pem, "-----BEGIN ") {
        Err(format!(
            "{what}: not PEM (no line `-----BEGIN ...`); \
             DER is converted with `openssl x509` or `openssl pkey`, `-inform der`"
        ))
    } else {
        Ok(())
    }
}

fn check_kind(key: &PKey<Private>) -> Result<(), String> {
    const ADVICE: &str = "make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`";
    match key.id() {
        Id::EC => {
            let curve = key.ec_key().ok().and_then(|key| key.group().curve_name());
            if curve == Some(Nid::X9_62_PRIME256V1) {
                return Ok(());
            }
            let name = curve.and_then(|nid| nid.short_name().ok()).unwrap_or("unnamed");
            Err(format!("private key: the curve is {name}; only P-256 (prime256v1) is served; {ADVICE}"))
        }
        Id::RSA if key.bits() >= MIN_RSA_BITS => Ok(()),
        Id::RSA => {
            Err(format!("private key: RSA of {} bits; at least {MIN_RSA_BITS} are needed", key.bits()))
        }
        Id::ED25519 | Id::ED448 => Err(format!(
            "private key: Ed25519 and Ed448 do not work in DTLS 1.2 with OpenSSL; a P-256 key is needed: {ADVICE}"
        )),
        _ => Err(format!("private key: neither P-256 nor RSA; {ADVICE}")),
    }
}

fn check_pair(leaf: &X509, issuers: &[X509], key: &PKey<Private>) -> Result<(), String> {
    let belongs = |certificate: &X509| certificate.public_key().is_ok_and(|public| key.public_eq(&public));
    if belongs(leaf) {
        return Ok(());
    }
    match issuers.iter().position(belongs) {
        Some(at) => Err(format!(
            "certificate: the one that the private key belongs to is number {} in the file; it must come first",
            at + 2
        )),
        None => Err("private key: it does not belong to the certificate".into()),
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
