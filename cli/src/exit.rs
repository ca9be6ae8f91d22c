//! Exit statuses. Where curl has the same case, the number is curl's.

use std::fmt::{self, Display, Write};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Success = 0,
    BadInput = 1,
    Usage = 2,
    Url = 3,
    Resolve = 6,
    Connect = 7,
    ErrorCode = 22,
    Write = 23,
    Read = 26,
    Timeout = 28,
    Handshake = 35,
    Transfer = 56,
    Certificate = 60,
    CaFile = 77,
    /// None of curl's: it has one way to a server, and nothing to compare.
    Disagrees = 120,
}

/// What `--help` says of each status; those that `jc` can end with come first.
const MEANINGS: [(Exit, &str); 14] = [
    (Exit::Success, "all went well; also when the reader of stdout went away"),
    (Exit::BadInput, "the input, or the body of --json, is not JSON, CBOR or diagnostic notation"),
    (Exit::Usage, "wrong usage: a flag, a header, a method, a value"),
    (Exit::Write, "the output cannot be written"),
    (Exit::Read, "the input or the data of -d cannot be read"),
    (Exit::Url, "the URL is malformed, or cannot be used over CoAP"),
    (Exit::Resolve, "the host name cannot be resolved"),
    (Exit::Connect, "no connection: refused, unreachable"),
    (Exit::ErrorCode, "the server answered with a code of 4.00 or more, or HTTP 400 or more"),
    (Exit::Timeout, "--connect-timeout, --max-time or all retransmissions are over"),
    (Exit::Handshake, "the DTLS or TLS handshake failed"),
    (Exit::Transfer, "the connection ended, or the answer cannot be used"),
    (Exit::Certificate, "the server's certificate is not trusted"),
    (Exit::CaFile, "the file of --cacert or the key log cannot be used"),
];

/// How many of [`MEANINGS`] concern `jc`.
const MEANINGS_OF_JC: usize = 5;

/// What `lowband show --help` says of each status.
const MEANINGS_OF_SHOW: [(Exit, &str); 6] = [
    (Exit::Success, "all went well, decrypted or not; also when stdout's reader went away"),
    (Exit::BadInput, "not a capture, or broken or cut off; what came before is shown"),
    (Exit::Usage, "wrong usage: a flag, an address, a code"),
    (Exit::Write, "the output cannot be written"),
    (Exit::Read, "the capture cannot be opened or read"),
    (Exit::CaFile, "the key log cannot be opened or read"),
];

/// What `lowband doctor --help` says of each status.
const MEANINGS_OF_DOCTOR: [(Exit, &str); 13] = [
    (Exit::Success, "nothing failed; a `warn` or `not seen` leaves it so"),
    (Exit::Usage, "wrong usage: a flag, a value"),
    (Exit::Url, "the URL is malformed, or cannot be used over CoAP"),
    (Exit::Resolve, "name: the host has no address"),
    (Exit::Connect, "https, udp: refused, unreachable"),
    (Exit::ErrorCode, "https, coap: the server answered with an error"),
    (Exit::Write, "the output cannot be written"),
    (Exit::Timeout, "name, https, udp, coap: no answer within --connect-timeout"),
    (Exit::Handshake, "https, dtls: the handshake failed"),
    (Exit::Transfer, "https, coap: the connection ended, or the answer is not Matrix's"),
    (Exit::Certificate, "https, certificate: it is not trusted"),
    (Exit::CaFile, "the file of --cacert or the key log cannot be used"),
    (Exit::Disagrees, "agreement: CoAP, HTTPS and the URL differ on versions or the UDP port"),
];

/// What `lowband proxy --help` says of each status.
const MEANINGS_OF_PROXY: [(Exit, &str); 7] = [
    (Exit::Success, "it was told to end, by SIGINT or SIGTERM"),
    (Exit::Usage, "wrong usage: a flag, a value, an address that other machines reach"),
    (Exit::Url, "--homeserver is neither a name nor a URL that can be used"),
    (Exit::Connect, "the address of --listen cannot be listened on"),
    (Exit::Write, "the log cannot be written"),
    (Exit::Transfer, "the listener failed"),
    (Exit::CaFile, "the file of --cacert, --certificate, --key or the key log cannot be used"),
];

impl Exit {
    pub(crate) fn status(self) -> u8 {
        self as u8
    }

    /// Returns the table for `lowband coap --help`.
    pub(crate) fn help_of_coap() -> String {
        table(MEANINGS.iter())
    }

    /// Returns the table for `lowband jc --help`.
    pub(crate) fn help_of_jc() -> String {
        table(MEANINGS.iter().take(MEANINGS_OF_JC))
    }

    /// Returns the table for `lowband doctor --help`.
    pub(crate) fn help_of_doctor() -> String {
        table(MEANINGS_OF_DOCTOR.iter())
    }

    /// Returns the table for `lowband proxy --help`.
    pub(crate) fn help_of_proxy() -> String {
        table(MEANINGS_OF_PROXY.iter())
    }

    /// Returns the table for `lowband show --help`.
    pub(crate) fn help_of_show() -> String {
        table(MEANINGS_OF_SHOW.iter())
    }
}

fn table<'m>(meanings: impl Iterator<Item = &'m (Exit, &'static str)>) -> String {
    let mut rows: Vec<_> = meanings.map(|(exit, meaning)| (exit.status(), *meaning)).collect();
    rows.sort_unstable();
    let mut text = String::from("Exit status:\n");
    for (status, meaning) in rows {
        let _infallible = writeln!(text, "  {status:>2}  {meaning}");
    }
    text.truncate(text.trim_end().len());
    text
}

/// Why a command cannot do what it was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// Message for stderr; `None` where all has been said.
    pub(crate) message: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Display) -> Failure {
        Failure { exit, message: Some(message.to_string()) }
    }

    /// Adds what may help to the message.
    pub(crate) fn with_hint(mut self, hint: Option<&str>) -> Failure {
        if let (Some(message), Some(hint)) = (&mut self.message, hint) {
            message.extend(["; ", hint]);
        }
        self
    }

    pub(crate) fn silent(exit: Exit) -> Failure {
        Failure { exit, message: None }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_one_meaning() {
        let mut statuses: Vec<u8> = MEANINGS.iter().map(|(exit, _)| exit.status()).collect();
        statuses.sort_unstable();
        statuses.dedup();
        assert_eq!(statuses.len(), MEANINGS.len());
    }

    #[test]
    fn the_tables_are_sorted_and_hold_what_concerns_their_command() {
        assert_eq!(
            Exit::help_of_jc().lines().map(|line| line.trim()).collect::<Vec<_>>()[1..4],
            [
                "0  all went well; also when the reader of stdout went away",
                "1  the input, or the body of --json, is not JSON, CBOR or diagnostic notation",
                "2  wrong usage: a flag, a header, a method, a value",
            ]
        );
        assert!(Exit::help_of_coap().contains("\n  28  --connect-timeout"));
    }
}
