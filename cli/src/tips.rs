//! What to say of an option that there is not. The parser's own tip, to pass it as a value, is true of no
//! option of any command; of curl's there is more to say.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Options of curl that `lowband coap` has not, and what does the same here, or why nothing does.
const OF_CURL: &[(&[&str], &str)] = &[
    (
        &["-I", "--head"],
        "CoAP has no HEAD: -i shows code and options before the body, -v all of the exchange",
    ),
    (&["-O", "--remote-name"], "-o FILE writes to a file, and its name is yours to choose"),
    (&["-G", "--get", "--data-urlencode", "--url-query"], "the query stands in the URL: 'URL?name=value'"),
    (&["-A", "--user-agent", "-e", "--referer"], "CoAP has no option for it"),
    (&["-b", "--cookie", "-c", "--cookie-jar"], "Matrix has no cookies, and CoAP no option for them"),
    (&["-u", "--user", "--oauth2-bearer"], "-H 'Authorization: Bearer TOKEN', or -H @FILE"),
    (&["-F", "--form", "-T", "--upload-file"], "-d @FILE sends a file, --json @FILE one of JSON as CBOR"),
    (&["-x", "--proxy"], "there is no proxy for DTLS; --resolve HOST:PORT:ADDRESS dials another address"),
    (&["--compressed"], "CBOR is small as it is, and the wire has no other compression"),
    (&["--http1.1", "--http2", "--http3"], "--http makes the request over HTTP/1.1"),
    (&["-E", "--cert", "--key"], "clients are known by their access token: -H 'Authorization: Bearer TOKEN'"),
    (&["--trace", "--trace-ascii"], "-vv writes each message in bytes to stderr"),
    (&["-Z", "--parallel"], "several URLs are asked for one after the other, on one session"),
    (&["--retry-all-errors", "--retry-max-time", "--retry-connrefused", "--retry-delay"], "--retry N"),
];

/// Words of the parser's own tip.
const AS_A_VALUE: &str = "as a value";

/// Returns the error with a tip that is true, or without one. Options of curl get theirs if it is those of
/// `lowband coap` that were read.
pub(crate) fn improve(mut error: clap::Error, is_coap: bool) -> clap::Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    if let Some(ContextValue::StyledStrs(mut tips)) = error.remove(ContextKind::Suggested) {
        tips.retain(|tip| !tip.to_string().contains(AS_A_VALUE));
        if !tips.is_empty() {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
    }
    if !is_coap {
        return error;
    }
    let given = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(given)) => given.clone(),
        _ => return error,
    };
    let name = given.split('=').next().unwrap_or_default();
    // `-I` of `-sI` comes as it is, and of `-Ixyz` with all that follows it.
    let is_it = |option: &str| {
        name == option || (option.len() == 2 && !name.starts_with("--") && name.starts_with(option))
    };
    if let Some((_, tip)) = OF_CURL.iter().find(|(options, _)| options.iter().any(|option| is_it(option))) {
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(*tip)]));
    }
    error
}
