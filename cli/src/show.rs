//! `lowband show`: what a capture of low-bandwidth Matrix holds, one line an exchange.
//!
//! ```text
//! FILE | pipe -> source: pieces, as they come -> Capture -> screen: lines or JSON, totals -> stdout
//! key log     -> keys: lines, as they come    ->
//! ```

mod keys;
mod screen;
mod source;

use super::environment;
use super::exit::{Exit, Failure};
use super::output::{self, Sink, Writer};
use keys::Keys;
use lowband_capture::report::hide::Secrets;
use lowband_capture::report::{Code, Filter, Path, Peer};
use lowband_capture::{Capture, Options};
use screen::{Form, Screen};
use source::{Piece, Source};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// How long an exchange of a live capture has to be quiet before it is shown. Copies that come later are told
/// at the end. A file is read with a longer time, which costs nothing there.
const LIVE_SETTLE: Duration = Duration::from_secs(3);

/// List the exchanges in a capture (pcap or pcapng), decrypted with a key log
///
/// Secrets in a pcapng are used wherever they stand. Access tokens, passwords and bodies that may hold them
/// are hidden. What cannot be read is told at the end, with its frames as Wireshark counts them.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help())]
pub(crate) struct ShowArgs {
    /// The capture; `-` reads it from a pipe as it comes
    #[arg(value_name = "FILE", allow_hyphen_values = true)]
    file: OsString,
    /// Key log of the server (lowband-sidecar --key-log) or of a client (SSLKEYLOGFILE)
    #[arg(short, long, value_name = "FILE")]
    key_log: Option<PathBuf>,
    /// Show each message with its options, and both bodies
    #[arg(short, long)]
    verbose: bool,
    /// Write one JSON object a line
    #[arg(long)]
    json: bool,
    /// Go on as the file grows, until Ctrl-C; the key log may grow too
    #[arg(short, long)]
    follow: bool,
    /// Show access tokens, passwords, and the bodies that hold them
    #[arg(long)]
    show_secrets: bool,
    /// Only exchanges of this address, or address and port; can be given several times
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    peer: Vec<Peer>,
    /// Only paths with this text in them, or like this pattern with `*` and `?`; can be given several times
    #[arg(long, value_name = "PATTERN")]
    path: Vec<Path>,
    /// Only answers with this code, as 2.05, or of this class, as 4.xx; can be given several times
    #[arg(long, value_name = "CODE")]
    code: Vec<Code>,
    /// UDP port of a server that speaks CoAP without DTLS [default: 5683]; can be given several times
    #[arg(long, value_name = "PORT")]
    coap_port: Vec<u16>,
}

fn after_help() -> String {
    format!(
        r#"Examples:
  lowband show capture.pcap --key-log keys.log
  lowband show capture.pcap -k keys.log -v --path '*/send/*' --code 4.xx
  tcpdump -i any -U -w - udp port 8008 | lowband show -k keys.log -
  lowband show capture.pcapng --json |
    jq -r 'select(.exchange) | [.path, .bytes_up, .https_bytes] | @tsv'

UP and DOWN are bytes of UDP payload, DTLS included. The totals, and https_bytes
of --json, estimate what a lean client would have paid for the same exchanges
over HTTPS with JSON.

With --json there is an object for each exchange. At the end come
{{"unread": ...}} for each reason, {{"not_coap": ...}} and {{"besides": ...}} if there
was something else, and {{"totals": ...}}.

{}

{}"#,
        environment::OF_TERMINALS,
        Exit::help_of_show()
    )
}

pub(crate) fn run(arguments: ShowArgs) -> Result<(), Failure> {
    let secrets = if arguments.show_secrets { Secrets::Shown } else { Secrets::Hidden };
    let mut source = Source::open(&arguments.file, arguments.follow, arguments.verbose)?;
    let mut options = Options { keep_access_tokens: arguments.show_secrets, ..Options::default() };
    if source.is_live() {
        options.settle = LIVE_SETTLE;
    }
    if !arguments.coap_port.is_empty() {
        options.coap_ports = arguments.coap_port;
    }
    let mut capture = Capture::new(options);
    let mut keys = Keys::open(arguments.key_log, source.is_live(), arguments.verbose)?;
    keys.read(&mut capture)?;
    source.secrets(&mut |text| {
        capture.add_secrets(text, 1);
    })?;
    let form = if arguments.json { Form::Json } else { Form::Text(output::colours()) };
    let filter = Filter { peers: arguments.peer, paths: arguments.path, codes: arguments.code };
    let mut screen = Screen::new(form, filter, secrets, arguments.verbose);
    Sink::Stdout.write_in_pieces(|out| read(&mut source, &mut capture, &mut keys, &mut screen, out))?;
    keys.hint(screen.lacks_keys());
    screen.outcome(&source)
}

fn read(
    source: &mut Source,
    capture: &mut Capture,
    keys: &mut Keys,
    screen: &mut Screen,
    out: &mut Writer<'_>,
) -> Result<(), Failure> {
    loop {
        let piece = source.next()?;
        keys.read(capture)?;
        match piece {
            Piece::Bytes(bytes) => capture.push(bytes, &mut |event| screen.take(event)),
            Piece::Quiet(time) => capture.quiet(time, &mut |event| screen.take(event)),
            Piece::End => capture.finish(&mut |event| screen.take(event)),
        }
        let is_end = matches!(piece, Piece::End);
        screen.show(capture, source);
        if is_end {
            screen.end();
        }
        screen.flush(is_end || source.is_live(), out)?;
        if is_end {
            return Ok(());
        }
    }
}
