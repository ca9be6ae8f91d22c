//! What to say of an option that there is not. The parser's own tip, to pass it as a value, is true of no
//! option of any command; of curl's there is more to say.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;

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
    (
        &["--fail-with-body"],
        "without -f the body of an error is written, and the exit status is 22 all the same",
    ),
    (&["--compressed"], "CBOR is small as it is, and the wire has no other compression"),
    (&["--http1.1", "--http2", "--http3"], "--http makes the request over HTTP/1.1"),
    (&["-E", "--cert", "--key"], "clients are known by their access token: -H 'Authorization: Bearer TOKEN'"),
    (&["--trace", "--trace-ascii"], "-vv writes each message in bytes to stderr"),
    (&["-Z", "--parallel"], "several URLs are asked for one after the other, on one session"),
    (&["--retry-all-errors", "--retry-max-time", "--retry-connrefused", "--retry-delay"], "--retry N"),
];

/// Words of the parser's own tip.
const AS_A_VALUE: &str = "as a value";

/// Returns the error with a tip that is true, or without one. `arguments` are all of the command line, whose
/// command has tips of its own: `lowband coap` for options of curl.
pub(crate) fn improve(mut error: clap::Error, arguments: &[OsString]) -> clap::Error {
    let command = arguments.get(1).and_then(|command| command.to_str()).unwrap_or_default();
    if command == "coap" && lacks_json(&error, arguments) {
        tell(&mut error, "--as-json writes the answer as JSON, and sends no body");
    }
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    if let Some(ContextValue::StyledStrs(mut tips)) = error.remove(ContextKind::Suggested) {
        tips.retain(|tip| !tip.to_string().contains(AS_A_VALUE));
        if !tips.is_empty() {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
    }
    let given = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(given)) => given.clone(),
        _ => return error,
    };
    match command {
        "coap" => {}
        "proxy" => {
            if let Some(tip) = of_proxy(&given, arguments) {
                tell(&mut error, tip);
            }
            return error;
        }
        _ => return error,
    }
    let name = given.split('=').next().unwrap_or_default();
    // `-I` of `-sI` comes as it is, and of `-Ixyz` with all that follows it.
    let is_it = |option: &str| {
        name == option || (option.len() == 2 && !name.starts_with("--") && name.starts_with(option))
    };
    if let Some((_, tip)) = OF_CURL.iter().find(|(options, _)| options.iter().any(|option| is_it(option))) {
        error.remove(ContextKind::SuggestedArg);
        tell(&mut error, *tip);
    }
    error
}

fn tell(error: &mut clap::Error, tip: impl Into<StyledStr>) {
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
}

/// Returns whether `--json` has no body: none follows, or the URL was taken for it.
fn lacks_json(error: &clap::Error, arguments: &[OsString]) -> bool {
    let is_json = |argument: &OsString| argument == "--json";
    match error.kind() {
        ErrorKind::InvalidValue => arguments.last().is_some_and(is_json),
        ErrorKind::MissingRequiredArgument => {
            let body = arguments.iter().skip_while(|argument| !is_json(argument)).nth(1);
            let body = body.and_then(|body| body.to_str());
            body.is_some_and(|body| !body.starts_with(['{', '[', '"', '@', '-']))
        }
        _ => false,
    }
}

/// Returns what is meant, perhaps, by a word that `lowband proxy` has no place for.
fn of_proxy(given: &str, arguments: &[OsString]) -> Option<String> {
    let is_behind_stats =
        arguments.windows(2).any(|pair| matches!(pair, [flag, value] if flag == "--stats" && value == given));
    let is_named = arguments.iter().filter_map(|argument| argument.to_str()).any(|argument| {
        argument.strip_prefix("--homeserver").is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    });
    if given.starts_with('-') {
        None
    } else if is_behind_stats && given.parse::<f64>().is_ok() {
        Some(format!("--stats={given} writes a line each {given} seconds"))
    } else {
        (!is_named).then(|| format!("--homeserver {given} names the homeserver"))
    }
}
