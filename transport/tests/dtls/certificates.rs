//! Keys and certificates, made anew for each run of the tests.

use lowband_transport::dtls::{ServerIdentity, Verification};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};
use std::sync::OnceLock;

pub(crate) fn curve_key(curve: Nid) -> PKey<Private> {
    let group = EcGroup::from_curve_name(curve).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

pub(crate) fn p256() -> PKey<Private> {
    curve_key(Nid::X9_62_PRIME256V1)
}

/// Returns an RSA key, which is slow to make: one key for all tests.
pub(crate) fn rsa() -> PKey<Private> {
    static KEY: OnceLock<PKey<Private>> = OnceLock::new();
    KEY.get_or_init(|| PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()).clone()
}

/// A certificate authority.
pub(crate) struct Authority {
    key: PKey<Private>,
    pub(crate) certificate: X509,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let key = p256();
        let mut builder = begin("test CA", "test CA", &key);
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        Authority { key, certificate: builder.build() }
    }

    /// Issues a certificate for `server.test`, `*.wild.test`, `192.0.2.200` and `2001:db8::200`.
    pub(crate) fn issue(&self, key: &PKey<Private>) -> X509 {
        self.issue_for_days(key, (0, 2))
    }

    /// Issues such a certificate, valid from the first to the second day, counted from now.
    pub(crate) fn issue_for_days(&self, key: &PKey<Private>, (from, until): (i64, i64)) -> X509 {
        let mut builder = begin("server", "test CA", key);
        let time = |days: i64| Asn1Time::from_unix(today() + days * DAY).unwrap();
        builder.set_not_before(&time(from)).unwrap();
        builder.set_not_after(&time(until)).unwrap();
        let context = builder.x509v3_context(Some(&self.certificate), None);
        let names = SubjectAlternativeName::new()
            .dns("server.test")
            .dns("*.wild.test")
            .ip("192.0.2.200")
            .ip("2001:db8::200")
            .build(&context)
            .unwrap();
        builder.append_extension(names).unwrap();
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        builder.build()
    }

    pub(crate) fn identity(&self, key: &PKey<Private>) -> ServerIdentity {
        identity(&[self.issue(key)], key)
    }

    pub(crate) fn roots(&self) -> Verification {
        Verification::Roots(self.certificate.to_pem().unwrap())
    }
}

pub(crate) fn identity(chain: &[X509], key: &PKey<Private>) -> ServerIdentity {
    ServerIdentity {
        certificate_chain: chain.iter().flat_map(|c| c.to_pem().unwrap()).collect(),
        private_key: key.private_key_to_pem_pkcs8().unwrap().into(),
    }
}

const DAY: i64 = 24 * 3600;

/// Returns the wall clock, by which OpenSSL verifies: seconds since 1970.
fn today() -> i64 {
    let epoch = Asn1Time::from_unix(0).unwrap();
    let since = epoch.diff(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    i64::from(since.days) * DAY + i64::from(since.secs)
}

fn begin(subject: &str, issuer: &str, key: &PKey<Private>) -> X509Builder {
    let name = |text: &str| {
        let mut builder = X509NameBuilder::new().unwrap();
        builder.append_entry_by_nid(Nid::COMMONNAME, text).unwrap();
        builder.build()
    };
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&BigNum::from_u32(7).unwrap().to_asn1_integer().unwrap()).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
    builder.set_subject_name(&name(subject)).unwrap();
    builder.set_issuer_name(&name(issuer)).unwrap();
    builder.set_pubkey(key).unwrap();
    builder
}
