//! Key logs of TLS, as programs write them for `SSLKEYLOGFILE`: which secrets decrypt which session.
//!
//! ```text
//! # a comment
//! CLIENT_RANDOM 64 digits of the client's random 96 digits of the master secret
//! ```
//!
//! Up to DTLS 1.2 the lines of this one label are all that is needed; those of TLS 1.3 and of RSA are known
//! and counted. A line that cannot be read is told by its number and the reason, never by what it holds: it
//! may be most of a secret. Secrets are overwritten when they are dropped, and have no `Debug` that shows
//! them.
//!
//! Source: draft-ietf-tls-keylogfile-05, and "NSS Key Log Format" for the older labels.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use thiserror::Error;
use zeroize::Zeroizing;

/// Most master secrets that are kept. With more, the one that came first gives way: in a log that is written
/// for days, it is of a session that has long ended.
pub const MOST_SECRETS: usize = 250_000;
/// Most lines of one text that are told one by one; more are counted.
pub const MOST_UNREAD: usize = 100;

/// Bytes of a client's random (RFC 5246 section 7.4.1.2).
const RANDOM: usize = 32;
/// Bytes of a master secret (RFC 5246 section 8.1).
const SECRET: usize = 48;

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Labels that belong to other versions of TLS or other ways of decrypting.
const OTHER_LABELS: [&[u8]; 10] = [
    b"CLIENT_EARLY_TRAFFIC_SECRET",
    b"CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    b"SERVER_HANDSHAKE_TRAFFIC_SECRET",
    b"CLIENT_TRAFFIC_SECRET_0",
    b"SERVER_TRAFFIC_SECRET_0",
    b"EARLY_EXPORTER_SECRET",
    b"EXPORTER_SECRET",
    b"ECH_SECRET",
    b"ECH_CONFIG",
    b"RSA",
];

type Random = [u8; RANDOM];

/// Secrets of sessions, by the random of the client that began them.
///
/// ```
/// use lowband_capture::KeyLog;
///
/// let mut log = KeyLog::new();
/// let line = format!("CLIENT_RANDOM {} {}\r\n", "0f".repeat(32), "a5".repeat(48));
/// let added = log.add(format!("# made by hand\n{line}{line}CLIENT_RANDOM 0f a5\n").as_bytes(), 1);
/// assert_eq!((added.secrets, added.repeated, added.unread.len()), (1, 1, 1));
/// assert_eq!(added.unread[0].to_string(), "line 4: the client random does not have 64 hexadecimal digits");
/// assert_eq!(log.master_secret(&[0x0f; 32]), Some(&[0xa5; 48]));
/// ```
#[derive(Default)]
pub struct KeyLog {
    // In boxes: what a map moves about would leave copies behind.
    secrets: BTreeMap<Random, Box<Zeroizing<[u8; SECRET]>>>,
    /// The randoms in the order in which they came.
    order: VecDeque<Random>,
    /// Secrets that have come, also those that gave way.
    taken: usize,
}

impl fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyLog({} secrets)", self.secrets.len())
    }
}

/// What a text added to a key log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Secrets that are new.
    pub secrets: usize,
    /// Lines that say what an earlier line said.
    pub repeated: usize,
    /// Lines of labels that are known and not needed.
    pub others: usize,
    /// The first [`MOST_UNREAD`] lines that cannot be read.
    pub unread: Vec<Unread>,
    /// Lines that cannot be read and are not in `unread`.
    pub more_unread: usize,
}

/// A line of a key log that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {why}")]
pub struct Unread {
    /// Its number; the first line of a text has the number that was given with the text.
    pub line: u64,
    /// What is wrong with it.
    pub why: LineFault,
}

/// Why a line of a key log cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LineFault {
    /// The first word is not a label that is known. It is not shown, since a line may begin anywhere.
    #[error("not a label of a key log")]
    Label,
    /// There are more or fewer words than three.
    #[error("not a label, a client random and a secret")]
    Words,
    /// The second word is not 32 bytes in hexadecimal.
    #[error("the client random does not have 64 hexadecimal digits")]
    Random,
    /// The third word is not 48 bytes in hexadecimal.
    #[error("the master secret does not have 96 hexadecimal digits")]
    Secret,
    /// An earlier line has the same random with another secret; that one stays.
    #[error("another secret for the client random of an earlier line")]
    Contradicts,
}

/// What a line says.
enum Line {
    Nothing,
    Other,
    Repeated,
    Secret,
}

impl KeyLog {
    /// Makes an empty key log.
    pub fn new() -> KeyLog {
        KeyLog::default()
    }

    /// Adds the secrets of a text, of which the first line has the number `first_line`. Lines must be whole:
    /// a text without a newline at its end has a last line all the same.
    pub fn add(&mut self, text: &[u8], first_line: u64) -> Added {
        let mut added = Added::default();
        for (line, content) in (first_line..).zip(text.split(|byte| *byte == b'\n')) {
            match self.line(content) {
                Ok(Line::Nothing) => {}
                Ok(Line::Other) => added.others += 1,
                Ok(Line::Repeated) => added.repeated += 1,
                Ok(Line::Secret) => added.secrets += 1,
                Err(why) if added.unread.len() < MOST_UNREAD => added.unread.push(Unread { line, why }),
                Err(_) => added.more_unread += 1,
            }
        }
        added
    }

    /// Returns the master secret of the session that began with this random of the client.
    pub fn master_secret(&self, client_random: &[u8; 32]) -> Option<&[u8; 48]> {
        self.secrets.get(client_random).map(|secret| &***secret)
    }

    /// Returns how many secrets have come. The number only grows: one that gave way is counted as well.
    pub fn len(&self) -> usize {
        self.taken
    }

    /// Returns true if no secret has come.
    pub fn is_empty(&self) -> bool {
        self.taken == 0
    }

    fn line(&mut self, line: &[u8]) -> Result<Line, LineFault> {
        // Some editors begin a file with a byte order mark.
        let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let label = match words.next() {
            None => return Ok(Line::Nothing),
            Some([b'#', ..]) => return Ok(Line::Nothing),
            Some(label) => label,
        };
        if OTHER_LABELS.contains(&label) {
            return Ok(Line::Other);
        }
        if label != b"CLIENT_RANDOM" {
            return Err(LineFault::Label);
        }
        let (Some(random), Some(secret), None) = (words.next(), words.next(), words.next()) else {
            return Err(LineFault::Words);
        };
        let mut key: Random = [0; RANDOM];
        decode(random, &mut key).ok_or(LineFault::Random)?;
        let mut value = Box::new(Zeroizing::new([0; SECRET]));
        decode(secret, &mut **value).ok_or(LineFault::Secret)?;
        if let Some(old) = self.secrets.get(&key) {
            return if **old == *value { Ok(Line::Repeated) } else { Err(LineFault::Contradicts) };
        }
        if self.order.len() >= MOST_SECRETS
            && let Some(first) = self.order.pop_front()
        {
            self.secrets.remove(&first);
        }
        self.secrets.insert(key, value);
        self.order.push_back(key);
        self.taken += 1;
        Ok(Line::Secret)
    }
}

/// Decodes hexadecimal digits of either case that fill `bytes` exactly.
fn decode(digits: &[u8], bytes: &mut [u8]) -> Option<()> {
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    if pairs.len() != bytes.len() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let digit = |character: &u8| char::from(*character).to_digit(16);
        *byte = u8::try_from(digit(high)? << 4 | digit(low)?).ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(random: u32, secret: u8) -> String {
        format!("CLIENT_RANDOM {random:064x} {}\n", format!("{secret:02x}").repeat(SECRET))
    }

    fn random(number: u32) -> Random {
        let mut random = [0; RANDOM];
        random[28..].copy_from_slice(&number.to_be_bytes());
        random
    }

    #[test]
    fn lines_are_read_however_they_end_and_in_either_case() {
        for text in [
            line(0xab, 0xcd),
            line(0xab, 0xcd).to_uppercase(),
            line(0xab, 0xcd).trim_end().to_owned(),
            line(0xab, 0xcd).replace('\n', "\r\n"),
            line(0xab, 0xcd).replace('\n', " \n"),
            format!("\u{feff}{}", line(0xab, 0xcd)),
            format!("\n\r\n# NSS Key Log File\r\n  \n{}\n\n", line(0xab, 0xcd)),
        ] {
            let mut log = KeyLog::new();
            let added = log.add(text.as_bytes(), 1);
            assert_eq!(added, Added { secrets: 1, ..Added::default() }, "{text:?}");
            assert_eq!(log.master_secret(&random(0xab)), Some(&[0xcd; SECRET]));
            assert_eq!(log.master_secret(&random(0xac)), None);
        }
    }

    #[test]
    fn other_labels_are_counted() {
        let mut log = KeyLog::new();
        for label in OTHER_LABELS {
            let added = log.add(&[label, b" 00 11"].concat(), 1);
            assert_eq!(added, Added { others: 1, ..Added::default() });
        }
        assert!(log.is_empty());
    }

    #[test]
    fn lines_that_cannot_be_read_are_told_by_their_numbers_and_never_shown() {
        let (random, secret) = ("5e".repeat(RANDOM), "c7".repeat(SECRET));
        let text = [
            format!("CLIENT_RANDOM {random} {secret}"),
            format!("CLIENT_RANDOM {random}"),
            format!("CLIENT_RANDOM {random} {secret} {secret}"),
            format!("CLIENT_RANDOM {} {secret}", &random[1..]),
            format!("CLIENT_RANDOM {random}0 {secret}"),
            format!("CLIENT_RANDOM {} {secret}", random.replace('5', "g")),
            format!("CLIENT_RANDOM {random} {}", &secret[2..]),
            format!("CLIENT_RANDOM {random} {}", secret.replace('c', "é")),
            format!("CLIENT_RANDOM {random} {}", secret.replace('c', "d")),
            secret.clone(),
            "client_random".to_owned(),
        ]
        .join("\n");
        let added = KeyLog::new().add(text.as_bytes(), 101);
        let told: Vec<_> = added.unread.iter().map(|unread| (unread.line, unread.why)).collect();
        use LineFault::{Contradicts, Label, Random, Secret, Words};
        let whys = [Words, Words, Random, Random, Random, Secret, Secret, Contradicts, Label, Label];
        assert_eq!(told, (102..).zip(whys).collect::<Vec<_>>());
        let shown = format!("{added:?} {}", added.unread.iter().map(Unread::to_string).collect::<String>());
        assert!(!shown.contains("5e5e") && !shown.contains("c7c7"), "{shown}");
    }

    #[test]
    fn lines_beyond_a_limit_are_counted() {
        let added = KeyLog::new().add("x\n".repeat(MOST_UNREAD + 7).as_bytes(), 1);
        assert_eq!((added.unread.len(), added.more_unread), (MOST_UNREAD, 7));
    }

    #[test]
    fn a_secret_that_contradicts_changes_nothing() {
        let mut log = KeyLog::new();
        log.add(line(1, 1).as_bytes(), 1);
        assert_eq!(log.add(line(1, 1).as_bytes(), 1).repeated, 1);
        assert_eq!(
            log.add(line(1, 2).as_bytes(), 7).unread,
            [Unread { line: 7, why: LineFault::Contradicts }]
        );
        assert_eq!(log.master_secret(&random(1)), Some(&[1; SECRET]));
        assert_eq!(log.len(), 1);
    }

    #[test]
    fn of_too_many_secrets_the_first_give_way() {
        let mut log = KeyLog::new();
        let many = MOST_SECRETS as u32;
        let secret = "01".repeat(SECRET);
        let lines = (0..many + 2).map(|number| format!("CLIENT_RANDOM {number:064x} {secret}\n"));
        assert_eq!(log.add(lines.collect::<String>().as_bytes(), 1).secrets, MOST_SECRETS + 2);
        assert_eq!(
            (log.secrets.len(), log.order.len(), log.len()),
            (MOST_SECRETS, MOST_SECRETS, MOST_SECRETS + 2)
        );
        assert_eq!(
            [0, 1, 2, many + 1].map(|n| log.master_secret(&random(n)).is_some()),
            [false, false, true, true]
        );
    }

    #[test]
    fn secrets_do_not_show() {
        let mut log = KeyLog::new();
        log.add(line(1, 0xee).as_bytes(), 1);
        assert_eq!(format!("{log:?}"), "KeyLog(1 secrets)");
    }

    proptest! {
        #[test]
        fn each_line_counts_once_and_what_was_written_is_found(
            text in prop::collection::vec(
                prop_oneof![any::<Vec<u8>>(), any::<u8>().prop_map(|n| line(u32::from(n % 8), n / 128).into_bytes())],
                0..40,
            ),
        ) {
            let text = text.concat();
            let mut log = KeyLog::new();
            let added = log.add(&text, 1);
            let counted =
                added.secrets + added.repeated + added.others + added.unread.len() + added.more_unread;
            prop_assert!(counted <= text.split(|byte| *byte == b'\n').count());
            prop_assert_eq!(log.len(), added.secrets);
            let again = log.add(&text, 1);
            prop_assert_eq!(again.secrets, 0);
            prop_assert_eq!(again.repeated, added.secrets + added.repeated);
            prop_assert_eq!(again.unread, added.unread);
        }
    }
}
