//! A CA of the test's own and a certificate for the loopback names.

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};
use std::time::{SystemTime, UNIX_EPOCH};

/// A certificate and its key, all as PEM.
#[derive(Clone)]
pub(crate) struct Certificate {
    pub(crate) ca: Vec<u8>,
    pub(crate) chain: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

impl Certificate {
    /// Makes a certificate for `localhost`, 127.0.0.1 and ::1.
    pub(crate) fn for_loopback() -> Certificate {
        let mut names = SubjectAlternativeName::new();
        names.dns("localhost").ip("127.0.0.1").ip("::1");
        Certificate::with_names(&names)
    }

    /// Makes a certificate for another name.
    pub(crate) fn for_another_name() -> Certificate {
        Certificate::with_names(SubjectAlternativeName::new().dns("other.example"))
    }

    /// Makes a certificate for the loopback names whose time is over since yesterday.
    #[allow(dead_code, reason = "for the tests of the command line")]
    pub(crate) fn expired() -> Certificate {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        let days_ago = |days: i64| Asn1Time::from_unix(now - days * 86_400).unwrap();
        let mut names = SubjectAlternativeName::new();
        names.dns("localhost").ip("127.0.0.1").ip("::1");
        Certificate::with(&names, &days_ago(30), &days_ago(1))
    }

    fn with_names(names: &SubjectAlternativeName) -> Certificate {
        let in_days = |days| Asn1Time::days_from_now(days).unwrap();
        Certificate::with(names, &in_days(0), &in_days(1))
    }

    /// Makes a certificate that is valid from one time to the other.
    fn with(names: &SubjectAlternativeName, from: &Asn1Time, to: &Asn1Time) -> Certificate {
        let ca_key = p256();
        let mut ca = unsigned("lowband test CA", &ca_key);
        ca.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        ca.set_issuer_name(&name("lowband test CA")).unwrap();
        ca.sign(&ca_key, MessageDigest::sha256()).unwrap();
        let ca: X509 = ca.build();

        let key = p256();
        let mut leaf = unsigned("lowband test server", &key);
        leaf.set_issuer_name(ca.subject_name()).unwrap();
        leaf.set_not_before(from).unwrap();
        leaf.set_not_after(to).unwrap();
        let extension = names.build(&leaf.x509v3_context(Some(&ca), None)).unwrap();
        leaf.append_extension(extension).unwrap();
        leaf.sign(&ca_key, MessageDigest::sha256()).unwrap();
        Certificate {
            ca: ca.to_pem().unwrap(),
            chain: leaf.build().to_pem().unwrap(),
            key: key.private_key_to_pem_pkcs8().unwrap(),
        }
    }
}

fn p256() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn name(common_name: &str) -> openssl::x509::X509Name {
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", common_name).unwrap();
    name.build()
}

fn unsigned(common_name: &str, key: &PKey<Private>) -> X509Builder {
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let serial = BigNum::from_u32(std::process::id()).unwrap().to_asn1_integer().unwrap();
    builder.set_serial_number(&serial).unwrap();
    builder.set_subject_name(&name(common_name)).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    builder
}
