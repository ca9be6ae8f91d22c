//! The flags of `lowband coap`. Where curl has the same flag, it means the same.

use super::address::Fixed;
use super::times::{self, Tuning};
use super::urls::Urls;
use super::write_out::{self, Format};
use crate::environment;
use crate::exit::Exit;
use lowband_client::Method;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Make a request over CoAP and DTLS, and write the body of the answer to stdout.
///
/// Several URLs are asked for one after the other, on one session: they differ in path and query alone. All
/// have the same flags and body. An answer that is an error does not keep the next from being asked for; the
/// exit status is that of the first failure.
///
/// With stdout on a terminal, bodies are JSON on this side and CBOR on the wire: JSON of -d goes out as
/// CBOR, and the answer is shown as JSON. Into a pipe or a file everything goes as it came, unless --json
/// (with a body) or --as-json (with or without) asks for JSON.
///
/// The URL's host and port are dialled by DTLS over UDP, whether it says coaps, https, http or no scheme at
/// all; without a port it is 8008. `coap://` (clear text) is refused.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help())]
pub(crate) struct CoapArgs {
    #[command(flatten)]
    pub(super) urls: Urls,
    /// GET, POST, PUT or DELETE [default: GET, with -d POST]
    #[arg(short = 'X', long = "request", value_name = "METHOD", value_parser = parse_method)]
    pub(super) method: Option<Method>,
    /// The body: DATA itself, `@FILE`, or `-` for stdin; sent as it is, and labelled CBOR unless
    /// -H says otherwise. With stdout on a terminal, JSON is sent as CBOR
    #[arg(short, long, visible_alias = "data-binary", value_name = "DATA", allow_hyphen_values = true)]
    pub(super) data: Option<OsString>,
    /// The body, in which `@` and `-` mean nothing
    #[arg(long, value_name = "DATA", allow_hyphen_values = true, conflicts_with = "data")]
    pub(super) data_raw: Option<OsString>,
    /// The body as -d takes it, in JSON: it is sent as CBOR with the integer keys of Matrix, and the answer
    /// is written as JSON, an error's too. -H with another Content-Type sends it as it stands. A request
    /// without a body has --as-json
    #[arg(long, value_name = "BODY", allow_hyphen_values = true, conflicts_with_all = ["data", "data_raw"])]
    pub(super) json: Option<OsString>,
    /// Send the body as it stands, also if it is JSON and stdout a terminal
    #[arg(long, conflicts_with = "json")]
    pub(super) as_is: bool,
    /// Write the answer as JSON, an error's too, into a pipe or a file as on a terminal
    #[arg(long)]
    pub(super) as_json: bool,
    /// Write the bytes of the answer, also to a terminal and with --json
    #[arg(short, long, conflicts_with = "as_json")]
    pub(super) raw: bool,
    /// `Authorization`, `Content-Type` or `Accept`, the headers that CoAP can carry; `@FILE` reads them
    /// from a file, one a line, as `Authorization: Bearer TOKEN`. Of the types that Accept lists the most
    /// wanted is asked for that CoAP has a number for
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(super) headers: Vec<String>,
    /// Do not verify the server's certificate
    #[arg(short = 'k', long)]
    pub(super) insecure: bool,
    /// Trust the CA certificates of this PEM file instead of the system's
    #[arg(long, value_name = "FILE")]
    pub(super) cacert: Option<PathBuf>,
    /// Write no body when the server answers with an error
    #[arg(short, long)]
    pub(super) fail: bool,
    /// Show no progress. Else stderr has a bar for bodies that take their time, if it is a terminal
    /// and nothing else goes there
    #[arg(short, long)]
    pub(super) silent: bool,
    /// Accepted for compatibility with curl; has no effect
    #[arg(short = 'S', long)]
    pub(super) show_error: bool,
    /// Accepted for compatibility with curl; CoAP has no redirections
    #[arg(short = 'L', long, conflicts_with = "http")]
    pub(super) location: bool,
    /// Write code and options before the body
    #[arg(short, long)]
    pub(super) include: bool,
    /// Tell on stderr what goes over the wire: handshakes, and each message with its type, id, token, code,
    /// options and length; the access token is hidden. At the end what the path was like, and the time from
    /// the request to the whole answer. -vv shows all records, and the bytes of messages, those of bodies
    /// too
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// Write to FILE, which is there whole or not at all; `-` is stdout. With several URLs the first -o is
    /// for the first of them, and so on; what is left goes to stdout
    #[arg(short, long, value_name = "FILE", allow_hyphen_values = true)]
    pub(super) output: Vec<OsString>,
    /// Write FORMAT to stdout after each answer, or failure; `@FILE` reads it from a file. `%{code}` and the
    /// other variables below are replaced, `\n`, `\r` and `\t` are what they are in C, `%%` is a percent sign
    #[arg(short, long, value_name = "FORMAT", value_parser = write_out::parse)]
    pub(super) write_out: Option<Format>,
    /// Give up when no connection has come about, over all addresses of the host together
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = parse_seconds)]
    pub(super) connect_timeout: Duration,
    /// Try again up to so many times when there is no connection, no answer in time, or an answer that may
    /// pass: 4.08, 4.29, 5.00, 5.02, 5.03 and 5.04, or the same of HTTP; with POST too. The wait before it
    /// is what the server asks for, else a second, doubled each time
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true)]
    pub(super) retry: u32,
    /// Dial only IPv4 addresses of the host
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub(super) ipv4: bool,
    /// Dial only IPv6 addresses of the host
    #[arg(short = '6', long)]
    pub(super) ipv6: bool,
    /// Dial these addresses instead of asking a resolver for the host; SNI and certificate are the host's
    #[arg(long, value_name = "HOST:PORT:ADDRESS[,ADDRESS]", value_parser = Fixed::parse)]
    pub(super) resolve: Vec<Fixed>,
    /// Give up when all together takes longer
    #[arg(short, long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub(super) max_time: Option<Duration>,
    /// Send the whole path instead of its one-character code
    #[arg(long)]
    pub(super) no_path_codes: bool,
    /// End with an error when the session ends, or the server is silent, before the answer has come. Else a
    /// new session is begun and GET, PUT and DELETE are made again on it, for two minutes at most
    #[arg(long, conflicts_with = "http")]
    pub(super) no_redial: bool,
    /// Most blocks of bodies on their way at once, 1 to 64; 1 sends one after the other. How many are, the
    /// measured delay decides [default: 64]
    #[arg(long, value_name = "BLOCKS", value_parser = clap::value_parser!(u32).range(1..=64), conflicts_with = "http")]
    pub(super) window: Option<u32>,
    /// Parameters of RFC 7252 section 4.8, times in seconds: `ACK_TIMEOUT=2,NSTART=8`, and
    /// ACK_RANDOM_FACTOR, MAX_RETRANSMIT, PROBING_RATE, EXCHANGE_LIFETIME. PROBING_RATE changes nothing here:
    /// what goes to a silent server is confirmable. `rfc7252` before them takes the values of the RFC, and
    /// does not measure the round trip; -v tells what follows from them
    #[arg(long, value_name = "LIST", value_parser = times::parse, conflicts_with = "http")]
    pub(super) times: Option<Tuning>,
    /// Announce this key table version (option 257). Servers other than low-bandwidth ones refuse the option
    #[arg(long, value_name = "VERSION", conflicts_with = "http")]
    pub(super) cbor_version: Option<u32>,
    /// Speak HTTPS with CBOR to the same host and port instead of CoAP; HTTP to an http:// URL
    #[arg(long)]
    pub(super) http: bool,
}

fn after_help() -> String {
    format!(
        r#"Examples:
  lowband coap -k coaps://localhost/_matrix/client/versions
  lowband coap -X PUT --json '{{"msgtype":"m.text","body":"Hi"}}' -H @token.txt \
    'coaps://hs.example/_matrix/client/v3/rooms/!r:hs/send/m.room.message/1'
  lowband coap --as-json coaps://hs.example/_matrix/client/versions | jq .
  lowband coap -w '%{{code}} %{{bytes_in}} bytes\n' -o login \
    coaps://hs.example/_matrix/client/v3/login
  lowband coap -i -H 'Accept: application/json' \
    coaps://hs.example/_matrix/client/versions

{}

{}

{}"#,
        environment::OF_SESSIONS,
        write_out::help(),
        Exit::help_of_coap()
    )
}

fn parse_method(text: &str) -> Result<Method, String> {
    Method::from_name(text).ok_or_else(|| "the methods are GET, POST, PUT and DELETE".into())
}

pub(crate) fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        // A year bounds the time, so that adding it to the present cannot overflow.
        Ok(time) if !time.is_zero() && time <= Duration::from_secs(365 * 24 * 3600) => Ok(time),
        _ => Err("must be more than 0 and at most a year".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_known_in_any_case() {
        assert_eq!(parse_method("put"), Ok(Method::Put));
        assert_eq!(parse_method("DELETE"), Ok(Method::Delete));
        assert!(parse_method("PATCH").is_err());
    }

    #[test]
    fn times_are_positive_and_bounded() {
        assert_eq!(parse_seconds("1.5"), Ok(Duration::from_millis(1500)));
        for wrong in ["0", "-1", "NaN", "inf", "1e300", "", "5s"] {
            assert!(parse_seconds(wrong).is_err(), "{wrong}");
        }
    }
}
