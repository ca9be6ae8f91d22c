//! Messages to the operator about certificate, key and limits.

use crate::certificates::{Authority, curve_key, identity, p256, rsa};
use crate::pair::{Pair, server_config};
use lowband_transport::dtls::{Config, Endpoint, Limits, ServerIdentity, Verification};
use lowband_transport::shares::Limit;
use lowband_transport::{CertificateMistake, KeyMistake, Mistake};
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::symm::Cipher;
use std::time::Duration;

fn mistakes(config: Config) -> Vec<Mistake> {
    match Endpoint::new(config, [1; 32]) {
        Ok(_) => Vec::new(),
        Err(error) => {
            assert_eq!(error.to_string().lines().count(), error.mistakes().len());
            error.mistakes().to_vec()
        }
    }
}

fn of_identity(certificate: &[u8], key: &[u8]) -> Vec<Mistake> {
    let server = ServerIdentity { certificate_chain: certificate.to_vec(), private_key: key.to_vec().into() };
    mistakes(Config { server: Some(server), ..Config::default() })
}

fn lines(mistakes: &[Mistake]) -> Vec<String> {
    mistakes.iter().map(Mistake::to_string).collect()
}

/// What is wrong, certificate, key, and what each line of the error contains.
type Row<'a> = (&'a str, &'a [u8], &'a [u8], &'a [&'a str]);

#[test]
fn each_mistake_in_certificate_and_key_has_its_own_line() {
    let authority = Authority::new();
    let key = p256();
    let (cert, pem) = (authority.issue(&key).to_pem().unwrap(), key.private_key_to_pem_pkcs8().unwrap());
    let damaged = |pem: &[u8]| {
        let mut pem = pem.to_vec();
        pem[60] = b'!';
        pem
    };
    let encrypted = key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"secret").unwrap();
    let traditional =
        rsa().rsa().unwrap().private_key_to_pem_passphrase(Cipher::aes_256_cbc(), b"secret").unwrap();
    let ed25519 = PKey::generate_ed25519().unwrap().private_key_to_pem_pkcs8().unwrap();
    let p384 = curve_key(Nid::SECP384R1).private_key_to_pem_pkcs8().unwrap();
    let weak = PKey::from_rsa(Rsa::generate(1024).unwrap()).unwrap().private_key_to_pem_pkcs8().unwrap();
    let other = p256().private_key_to_pem_pkcs8().unwrap();
    let public = key.public_key_to_pem().unwrap();
    let upside_down = [authority.certificate.to_pem().unwrap(), cert.clone()].concat();

    let table: [Row<'_>; 14] = [
        ("right", &cert, &pem, &[]),
        ("both empty", b"", b" \n", &["certificate: the file is empty", "private key: the file is empty"]),
        (
            "not PEM",
            &key.private_key_to_der().unwrap(),
            b"x",
            &["certificate: not PEM", "private key: not PEM"],
        ),
        (
            "swapped",
            &pem,
            &cert,
            &[
                "no CERTIFICATE block in it: it holds a key",
                "no PRIVATE KEY block in it: it holds a certificate",
            ],
        ),
        ("a public key", &cert, &public, &["private key: no PRIVATE KEY block"]),
        (
            "a damaged certificate",
            &damaged(&cert),
            &pem,
            &["certificate: a CERTIFICATE block cannot be decoded"],
        ),
        ("a damaged key", &cert, &damaged(&pem), &["private key: the block cannot be decoded"]),
        ("encrypted, PKCS#8", &cert, &encrypted, &["private key: it is encrypted"]),
        ("encrypted, PKCS#1", &cert, &traditional, &["private key: it is encrypted"]),
        ("Ed25519", &cert, &ed25519, &["private key: Ed25519"]),
        ("P-384", &cert, &p384, &["private key: the curve is secp384r1"]),
        ("RSA of 1024 bits", &cert, &weak, &["private key: RSA of 1024 bits"]),
        ("another key", &cert, &other, &["private key: it does not belong to the certificate"]),
        ("the issuer first", &upside_down, &pem, &["is number 2 in the file; it must come first"]),
    ];
    for (what, certificate, key, expected) in table {
        let found = lines(&of_identity(certificate, key));
        assert_eq!(found.len(), expected.len(), "{what}: {found:?}");
        for (line, part) in found.iter().zip(expected) {
            assert!(line.contains(part), "{what}: {line}");
        }
    }
}

#[test]
fn rsa_sec1_and_chains_are_fine() {
    let authority = Authority::new();
    let key = p256();
    let sec1 = key.ec_key().unwrap().private_key_to_pem().unwrap();
    let chain = [authority.issue(&key), authority.certificate.clone()];
    for server in [
        authority.identity(&rsa()),
        identity(&chain, &key),
        ServerIdentity { private_key: sec1.into(), ..identity(&chain, &key) },
    ] {
        assert_eq!(mistakes(Config { server: Some(server), ..Config::default() }), []);
    }
}

#[test]
fn mistakes_in_limits_roots_and_identity_are_told_together() {
    let limits = Limits {
        sessions: 0,
        sessions_per_address: 0,
        half_open: 0,
        half_open_per_address: 0,
        handshakes: Limit { per_second: 0, burst: 1 },
        handshakes_per_address: Limit { per_second: 1, burst: 0 },
        waiting_hellos: 0,
        hello: 255,
        handshake: Duration::ZERO,
        idle: Duration::MAX,
        make_room_after: Duration::ZERO,
        mtu: 255,
    };
    let server = ServerIdentity { certificate_chain: Vec::new(), private_key: Vec::new().into() };
    let client = Verification::Roots(b"nothing".to_vec());
    let values = mistakes(Config { server: Some(server), client: Some(client), limits, ..Config::default() });
    let found = lines(&values);
    let expected = [
        "limit sessions ",
        "limit sessions_per_address",
        "limit half_open ",
        "limit half_open_per_address",
        "limit waiting_hellos",
        "limit handshakes ",
        "limit handshakes_per_address",
        "limit handshake",
        "limit idle",
        "limit make_room_after",
        "limit hello is 255",
        "limit mtu is 255",
        "certificate: the file is empty",
        "private key: the file is empty",
        "CA certificates",
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (line, part) in found.iter().zip(expected) {
        assert!(line.starts_with(part), "{line}");
    }
    assert_eq!(values[0], Mistake::LimitOfZero { limit: "sessions" });
    assert_eq!(values[8], Mistake::LimitInTime { limit: "idle", value: Duration::MAX });
    assert_eq!(values[11], Mistake::LimitInBytes { limit: "mtu", value: 255, least: 256, most: 16_384 });
    let of_files = [
        Mistake::Certificate(CertificateMistake::Empty),
        Mistake::PrivateKey(KeyMistake::Empty),
        Mistake::Roots,
    ];
    assert_eq!(values[12..], of_files);
}

#[test]
fn a_mistake_is_a_value_with_what_a_program_needs_to_know() {
    let authority = Authority::new();
    let key = p256();
    let (cert, pem) = (authority.issue(&key).to_pem().unwrap(), key.private_key_to_pem_pkcs8().unwrap());
    let p384 = curve_key(Nid::SECP384R1).private_key_to_pem_pkcs8().unwrap();
    let weak = PKey::from_rsa(Rsa::generate(1024).unwrap()).unwrap().private_key_to_pem_pkcs8().unwrap();
    let other = p256().private_key_to_pem_pkcs8().unwrap();
    let upside_down = [authority.certificate.to_pem().unwrap(), cert.clone()].concat();
    let of_certificate = |mistake| vec![Mistake::Certificate(mistake)];
    let of_key = |mistake| vec![Mistake::PrivateKey(mistake)];
    assert_eq!(of_identity(b"x", &pem), of_certificate(CertificateMistake::NotPem));
    assert_eq!(of_identity(&pem, &pem), of_certificate(CertificateMistake::NoBlock { holds_key: true }));
    assert_eq!(of_identity(&upside_down, &pem), of_certificate(CertificateMistake::NotFirst { number: 2 }));
    assert_eq!(of_identity(&cert, b"x"), of_key(KeyMistake::NotPem));
    assert_eq!(of_identity(&cert, &cert), of_key(KeyMistake::NoBlock { holds_certificate: true }));
    assert_eq!(of_identity(&cert, &p384), of_key(KeyMistake::Curve { curve: "secp384r1" }));
    assert_eq!(of_identity(&cert, &weak), of_key(KeyMistake::WeakRsa { bits: 1024, least: 2048 }));
    assert_eq!(of_identity(&cert, &other), of_key(KeyMistake::OfAnotherCertificate));
}

#[test]
fn the_ends_of_the_mtu_range_work() {
    for mtu in [256, 16_384] {
        let limits = Limits { mtu, ..Limits::default() };
        Pair::with_limits(limits).establish();
    }
}

#[test]
fn a_key_never_reaches_a_log() {
    let text = format!("{:?}", server_config());
    assert!(!text.contains("PRIVATE") && !text.contains("45, 45, 45"), "{text}");
}
