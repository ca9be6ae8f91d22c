//! The flags of the reference implementation's `proxy`, taken under their names: an operator who moves over
//! keeps the command line, and reads in the log what each flag is called today.
//!
//! It is a Go program: its flags take one dash or two, and an address without a host means all addresses. It
//! listens on TCP only where it advertises itself, at the address of its UDP port, in clear text unless the
//! advertised URL begins with `https`.

use std::ffi::{OsStr, OsString};

/// The reference's names and ours. `advertise` has the same name here, so it stands for the reference only
/// with one dash.
const NAMES: [(&str, &str); 5] = [
    ("local", "--homeserver"),
    ("tls-cert", "--certificate"),
    ("tls-key", "--key"),
    (BIND, "--listen"),
    (ADVERTISE, "--advertise"),
];
const BIND: &str = "dtls-bind-addr";
const ADVERTISE: &str = "advertise";
/// What the reference binds by default.
const DEFAULT_BIND: &str = ":8008";

/// The arguments in today's words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Translated {
    /// All arguments, the program's name first.
    pub(super) arguments: Vec<OsString>,
    /// A line for each flag that was replaced.
    pub(super) notes: Vec<String>,
}

/// Replaces the reference's flags; everything else stays as it is.
pub(super) fn translate(arguments: impl IntoIterator<Item = OsString>) -> Translated {
    let mut given = arguments.into_iter();
    let mut translated = Translated { arguments: given.next().into_iter().collect(), notes: Vec::new() };
    let (mut bind, mut advertise, mut has_public, mut is_first) = (None, None, false, true);
    while let Some(argument) = given.next() {
        // A subcommand has flags of its own.
        if std::mem::take(&mut is_first) && !argument.as_encoded_bytes().starts_with(b"-") {
            translated.arguments.push(argument);
            translated.arguments.extend(given);
            return translated;
        }
        let text = argument.to_string_lossy();
        has_public |= text == "--public" || text.starts_with("--public=");
        let Some(flag) = Flag::of(&text) else {
            translated.arguments.push(argument);
            continue;
        };
        let value = flag.value.map(OsString::from).or_else(|| given.next());
        if flag.name == ADVERTISE {
            advertise = value.clone();
        }
        if !flag.is_ours {
            translated.note(&format!("-{} is the reference's name of {}", flag.name, flag.today));
        }
        let value = match value {
            Some(value) if flag.name == BIND => {
                bind = Some(address(&value));
                bind.clone()
            }
            value => value,
        };
        translated.arguments.push(flag.today.into());
        translated.arguments.extend(value);
    }
    if let Some(url) = advertise
        && !translated.notes.is_empty()
        && !has_public
    {
        translated.serve_tcp(&url, bind.unwrap_or_else(|| address(OsStr::new(DEFAULT_BIND))));
    }
    translated
}

/// One of the flags as it was written.
struct Flag<'t> {
    name: &'static str,
    today: &'static str,
    value: Option<&'t str>,
    /// True if it is one of today's flags as well.
    is_ours: bool,
}

impl<'t> Flag<'t> {
    fn of(argument: &'t str) -> Option<Flag<'t>> {
        let rest = argument.strip_prefix('-')?;
        let (named, dashes) = rest.strip_prefix('-').map_or((rest, 1), |named| (named, 2));
        let (named, value) =
            named.split_once('=').map_or((named, None), |(named, value)| (named, Some(value)));
        let (name, today) = NAMES.into_iter().find(|(name, _)| *name == named)?;
        Some(Flag { name, today, value, is_ours: name == ADVERTISE && dashes == 2 })
    }
}

impl Translated {
    fn note(&mut self, line: &str) {
        self.notes.push(line.to_owned());
    }

    /// Adds the TCP side that the reference has where it advertises itself.
    fn serve_tcp(&mut self, url: &OsStr, bind: OsString) {
        let scheme = if url.as_encoded_bytes().starts_with(b"https://") { "https" } else { "http" };
        let mut public = OsString::from(format!("{scheme}://"));
        public.push(bind);
        let line = format!(
            "-{ADVERTISE} has the reference listen on TCP as well: --public {} does it today",
            public.display()
        );
        self.note(&line);
        self.arguments.push("--public".into());
        self.arguments.push(public);
    }
}

/// Writes out Go's `:8008`.
fn address(given: &OsStr) -> OsString {
    match given.to_str() {
        Some(port) if port.starts_with(':') => format!("[::]{port}").into(),
        _ => given.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(line: &str) -> (String, Vec<String>) {
        let all = format!("lowband-sidecar {line}");
        let Translated { arguments, notes } = translate(all.split_whitespace().map(OsString::from));
        let words: Vec<_> = arguments.iter().skip(1).map(|word| word.to_str().unwrap()).collect();
        (words.join(" "), notes)
    }

    #[test]
    fn each_flag_is_taken_with_one_dash_and_with_two_and_told_by_todays_name() {
        for (name, today) in NAMES {
            for given in
                [format!("-{name} x"), format!("--{name} x"), format!("-{name}=x"), format!("--{name}=x")]
            {
                let (line, notes) = translated(&given);
                assert!(line.starts_with(&format!("{today} x")), "{given}: {line}");
                let told = notes.first().map(String::as_str);
                if given.starts_with("--advertise") {
                    assert_eq!((line.as_str(), told), ("--advertise x", None), "{given}");
                } else {
                    assert_eq!(told, Some(format!("-{name} is the reference's name of {today}").as_str()));
                }
            }
        }
    }

    #[test]
    fn the_tcp_side_is_there_where_the_reference_has_one() {
        for (given, public) in [
            ("-local http://l -tls-cert c -tls-key k", None),
            ("-local http://l -advertise http://a", Some("http://[::]:8008")),
            ("--local http://l --advertise http://a:9008 --dtls-bind-addr :9008", Some("http://[::]:9008")),
            ("-local http://l -advertise https://a -dtls-bind-addr 192.0.2.1:1", Some("https://192.0.2.1:1")),
            ("-local http://l -advertise https://a --public off", None),
            ("-local http://l -advertise https://a --public=off", None),
            ("--homeserver http://l --advertise https://a", None),
        ] {
            let (line, notes) = translated(given);
            let added = line.split(" --public ").nth(1).filter(|added| *added != "off");
            assert_eq!(added, public, "{given}");
            assert_eq!(notes.iter().any(|note| note.contains("on TCP")), public.is_some(), "{given}");
        }
    }

    #[test]
    fn everything_else_stays() {
        for line in [
            "",
            "--listen 0.0.0.0:8008 --key k -V",
            "render-envoy --homeserver http://a -local x",
            "--locale x",
            "-l x",
            "-",
            "--",
        ] {
            assert_eq!(translated(line), (line.to_owned(), Vec::new()), "{line}");
        }
        assert_eq!(translated("-local").0, "--homeserver");
    }
}
