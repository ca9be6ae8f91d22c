//! Certificates for a test.

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::x509::{X509Builder, X509NameBuilder};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) const DAY: i64 = 24 * 3600;

/// A self-signed certificate and its key, both PEM.
#[derive(Clone)]
pub(crate) struct Pair {
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

impl Pair {
    /// Makes a pair with a P-256 key, for localhost, valid for two days.
    pub(crate) fn new() -> Pair {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        Pair::valid(now, now + 2 * DAY)
    }

    /// Makes a pair that is valid between these seconds since 1970.
    pub(crate) fn valid(from: i64, to: i64) -> Pair {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_nid(Nid::COMMONNAME, "localhost").unwrap();
        let name = name.build();
        let mut serial = BigNum::new().unwrap();
        serial.rand(64, MsbOption::ONE, false).unwrap();
        let mut builder = X509Builder::new().unwrap();
        builder.set_version(2).unwrap();
        builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
        builder.set_subject_name(&name).unwrap();
        builder.set_issuer_name(&name).unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&Asn1Time::from_unix(from).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::from_unix(to).unwrap()).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        Pair { certificate: builder.build().to_pem().unwrap(), key: key.private_key_to_pem_pkcs8().unwrap() }
    }

    /// Writes both files and returns their names.
    pub(crate) fn write(&self, folder: &Path) -> (String, String) {
        let write = |file: &str, pem: &[u8]| {
            let path = folder.join(file);
            std::fs::write(&path, pem).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            path.to_str().unwrap().to_owned()
        };
        (write("certificate.pem", &self.certificate), write("key.pem", &self.key))
    }
}

/// Writes the files of a new pair and returns their names.
pub(crate) fn self_signed(folder: &Path) -> (String, String) {
    Pair::new().write(folder)
}
