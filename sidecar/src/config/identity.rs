//! Certificate and private key: read here, checked by the transport that serves them.

use super::Mistake;
use lowband_transport::dtls::{self, Endpoint, PrivateKey, ServerIdentity};
use lowband_transport::{self as transport, KeyMistake};
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::x509::X509;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The paths of the two files.
#[derive(Debug, Clone)]
pub struct Paths {
    /// Path of the certificate chain, leaf first.
    pub certificate: PathBuf,
    /// Path of the private key.
    pub key: PathBuf,
}

/// What the two files held at one moment: their bytes, or why they could not be read.
#[derive(Clone, PartialEq, Eq)]
pub struct Files {
    certificate: Result<Vec<u8>, String>,
    key: Result<PrivateKey, String>,
}

/// An identity that can be served.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Certificate and key, as the transport takes them.
    pub server: ServerIdentity,
    /// Serial number in hexadecimal digits, as `openssl x509 -serial` shows it.
    pub serial: String,
    /// The time during which clients accept the certificate.
    pub validity: Validity,
}

/// The validity of a certificate (RFC 5280 section 4.1.2.5), each end in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    not_before: i64,
    not_after: i64,
}

/// Largest size of one file in bytes: a chain of hundreds of certificates.
const MAX_FILE: u64 = 1 << 20;

/// Permission bits of all accounts that are neither the owner nor in the group.
const OF_ALL: u32 = 0o007;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Time left below which a renewal is overdue. Authorities renew long before, usually with a third of the
/// time left.
const SHORT: Duration = Duration::from_secs(14 * 24 * 3600);
/// Divisor for certificates that live for days: renewal is overdue when less than this part of their time is
/// left.
const SHORT_PART: u32 = 5;

impl Paths {
    /// Reads both files, which may take as long as their disk does.
    pub fn read(&self) -> Files {
        let read = |path: &Path| read(path).map_err(|why| format!("cannot be read: {why}"));
        Files { certificate: read(&self.certificate), key: read(&self.key).map(PrivateKey::from) }
    }

    /// Returns why the key is not safe where it lies: every account of this machine can open it. Access by
    /// its group is accepted: that is how keys are commonly shared, and how Kubernetes hands out secrets.
    pub fn exposed(&self) -> Option<String> {
        let mode = std::fs::metadata(&self.key).ok()?.mode() & 0o7777;
        (mode & OF_ALL != 0).then(|| {
            format!(
                "every user on this machine can open the private key {:?} (mode {mode:04o}): chmod o= it",
                self.key
            )
        })
    }

    /// Lets the transport check certificate and key against each other. Whether the certificate is valid now
    /// is not checked.
    pub fn judge(&self, files: &Files) -> Result<Identity, Vec<Mistake>> {
        let server = ServerIdentity {
            certificate_chain: files.certificate.clone().unwrap_or_default(),
            private_key: files.key.clone().unwrap_or_default(),
        };
        let (mut certificate, mut key) = (Vec::new(), Vec::new());
        let config = dtls::Config { server: Some(server.clone()), ..dtls::Config::default() };
        if let Err(error) = Endpoint::new(config, [0; 32]) {
            for mistake in error.mistakes() {
                match mistake {
                    transport::Mistake::PrivateKey(KeyMistake::OfAnotherCertificate) => {
                        key.push(format!(
                            "it and the certificate {:?} do not belong together",
                            self.certificate
                        ));
                    }
                    transport::Mistake::PrivateKey(why) => key.push(why.to_string()),
                    transport::Mistake::Certificate(why) => certificate.push(why.to_string()),
                    other => certificate.push(other.to_string()),
                }
            }
        }
        // What the transport says about a file that cannot be read is noise.
        if let Err(why) = &files.certificate {
            certificate = vec![why.clone()];
        }
        if let Err(why) = &files.key {
            key = vec![why.clone()];
        }
        let mut mistakes: Vec<_> = certificate.iter().map(|why| self.about_certificate(why)).collect();
        mistakes
            .extend(key.iter().map(|why| Mistake { option: "--key", why: format!("{:?}: {why}", self.key) }));
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        match X509::from_pem(&server.certificate_chain).ok().and_then(|leaf| describe(&leaf)) {
            Some((serial, validity)) => Ok(Identity { server, serial, validity }),
            None => Err(vec![self.about_certificate("its serial number or its validity cannot be read")]),
        }
    }

    /// Returns the mistake of a certificate that is not valid yet or has expired.
    pub fn untimely(&self, identity: &Identity, now: i64) -> Option<Mistake> {
        identity.validity.mistake(now).map(|why| self.about_certificate(&why))
    }

    fn about_certificate(&self, why: &str) -> Mistake {
        Mistake { option: "--certificate", why: format!("{:?}: {why}", self.certificate) }
    }
}

/// Reads a regular file. Anything else is refused: a pipe could keep its reader waiting for ever, and a
/// device could deliver bytes without end.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let found = std::fs::metadata(path)?;
    if !found.is_file() && !found.is_dir() {
        return Err(io::Error::other("not a regular file"));
    }
    // Allocated in full at once: a buffer that grows leaves parts of a key behind in memory.
    let mut content = Vec::with_capacity(found.len().min(MAX_FILE) as usize + 1);
    std::fs::File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!("more than {MAX_FILE} bytes")));
    }
    Ok(content)
}

impl From<&ServerIdentity> for Files {
    fn from(served: &ServerIdentity) -> Files {
        Files { certificate: Ok(served.certificate_chain.clone()), key: Ok(served.private_key.clone()) }
    }
}

fn describe(leaf: &X509) -> Option<(String, Validity)> {
    let serial = leaf.serial_number().to_bn().ok()?.to_hex_str().ok()?.to_string();
    let validity =
        Validity { not_before: seconds(leaf.not_before())?, not_after: seconds(leaf.not_after())? };
    Some((serial, validity))
}

fn seconds(time: &Asn1TimeRef) -> Option<i64> {
    let since = Asn1Time::from_unix(0).ok()?.diff(time).ok()?;
    Some(i64::from(since.days) * DAY.as_secs() as i64 + i64::from(since.secs))
}

/// Returns the wall clock in seconds since 1970.
pub fn now() -> i64 {
    // A clock before 1970 counts as 1970.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

impl Validity {
    /// Returns the first second after the validity, in seconds since 1970.
    pub fn not_after(self) -> i64 {
        self.not_after
    }

    /// Returns why the certificate is not valid now, as a phrase; `None` when it is.
    pub fn mistake(self, now: i64) -> Option<String> {
        if self.not_after < now {
            return Some(format!("it has expired on {}", text(self.not_after)));
        }
        (self.not_before > now).then(|| format!("it is not valid before {}", text(self.not_before)))
    }

    /// Returns the time that is left, zero when it is over.
    pub fn left(self, now: i64) -> Duration {
        Duration::from_secs(u64::try_from(self.not_after.saturating_sub(now)).unwrap_or_default())
    }

    /// Returns how many seconds the certificate lives in all.
    pub fn lasts(self) -> i64 {
        self.not_after.saturating_sub(self.not_before)
    }

    /// Returns whether renewal is overdue: less than 14 days, or less than a fifth of the validity, are left.
    pub fn is_short(self, now: i64) -> bool {
        self.left(now) < SHORT.min(self.left(self.not_before) / SHORT_PART)
    }

    /// Describes the end of the validity and the time until then, for people.
    pub fn tell(self, now: i64) -> String {
        format!("valid until {}, {}", text(self.not_after), in_words(self.left(now)))
    }
}

/// Returns the time in whole days; below one day in hours, below one hour in minutes.
fn in_words(time: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const A_DAY: u64 = DAY.as_secs();
    let seconds = time.as_secs();
    let (size, unit) = match seconds {
        0..HOUR => (MINUTE, "minute"),
        HOUR..A_DAY => (HOUR, "hour"),
        _ => (A_DAY, "day"),
    };
    let number = seconds / size;
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

fn text(seconds: i64) -> String {
    Asn1Time::from_unix(seconds).map_or_else(|_| format!("{seconds} s after 1970"), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAYS: i64 = 24 * 3600;
    /// Nov 29 2026, in seconds since 1970.
    const BEGIN: i64 = 1_795_910_400;

    fn lasting(days: i64) -> Validity {
        Validity { not_before: BEGIN, not_after: BEGIN + days * DAYS }
    }

    #[test]
    fn a_certificate_holds_from_its_first_to_its_last_second() {
        let validity = lasting(90);
        for (now, why) in [
            (BEGIN - 1, Some("it is not valid before Nov 29 00:00:00 2026 GMT")),
            (BEGIN, None),
            (BEGIN + 90 * DAYS, None),
            (BEGIN + 90 * DAYS + 1, Some("it has expired on Feb 27 00:00:00 2027 GMT")),
        ] {
            assert_eq!(validity.mistake(now).as_deref(), why);
        }
        assert_eq!(validity.tell(BEGIN), "valid until Feb 27 00:00:00 2027 GMT, 90 days");
        assert_eq!(validity.left(BEGIN + 91 * DAYS), Duration::ZERO);
    }

    #[test]
    fn what_is_left_is_told_in_days_and_at_last_in_hours_and_minutes() {
        for (left, told) in [
            (2 * DAYS - 1, "1 day"),
            (DAYS, "1 day"),
            (DAYS - 1, "23 hours"),
            (3600, "1 hour"),
            (3599, "59 minutes"),
            (119, "1 minute"),
            (0, "0 minutes"),
        ] {
            let text = lasting(90).tell(BEGIN + 90 * DAYS - left);
            assert_eq!(text, format!("valid until Feb 27 00:00:00 2027 GMT, {told}"));
        }
    }

    #[test]
    fn a_key_that_everybody_can_open_is_told_of() {
        use std::os::unix::fs::PermissionsExt;
        let key = std::env::temp_dir().join(format!("lowband-key-{}", std::process::id()));
        std::fs::write(&key, "key").unwrap();
        let paths = Paths { certificate: "/nonexistent".into(), key: key.clone() };
        for (mode, is_exposed) in
            [(0o600, false), (0o440, false), (0o640, false), (0o644, true), (0o602, true)]
        {
            std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(paths.exposed().is_some(), is_exposed, "{mode:o}");
        }
        std::fs::remove_file(&key).unwrap();
        assert_eq!(paths.exposed(), None);
    }

    #[test]
    fn what_is_short_depends_on_how_long_it_is_in_all() {
        for (days, short_from) in [(365, 351), (90, 76), (10, 8), (5, 4)] {
            let validity = lasting(days);
            assert!(!validity.is_short(BEGIN + short_from * DAYS), "{days}");
            assert!(validity.is_short(BEGIN + short_from * DAYS + 1), "{days}");
        }
    }

    #[test]
    fn times_of_both_forms_are_read() {
        // RFC 5280 section 4.1.2.5: UTCTime until 2049, GeneralizedTime from then on.
        for (written, expected) in
            [("19700101000000Z", 0), ("20261129000000Z", BEGIN), ("20500101000000Z", 2_524_608_000)]
        {
            assert_eq!(seconds(&Asn1Time::from_str(written).unwrap()), Some(expected));
        }
    }
}
