//! `demo up`.

use crate::chain::{Chain, Homeserver, Layout};
use crate::demo::options::{Cast, Up};
use crate::demo::table;
use crate::error::{Error, Result};
use crate::matrix::{SignedIn, User};
use crate::parts::{Parts, Translator};
use crate::ports::{Port, Reach};
use crate::process::PidFile;
use crate::relay::Relay;
use crate::story::{Ending, Side, Story};
use crate::synapse::RateLimits;
use crate::tell::{Voice, patiently, say};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// Names the demo's own pid file.
pub(super) const NAME: &str = "demo";
/// How soon a part that died while the demo stays up is noticed.
const HEALTH_CHECK: Duration = Duration::from_secs(1);

/// Starts the chain, plays the story, stays up. An interrupt at any point ends all parts in order, and is not
/// an error while the demo stays up.
pub async fn up(options: Up) -> Result<()> {
    let mut interrupted = Interrupted::listen()?;
    // Options that are refused leave no folder behind.
    let cast = Cast::choose(options.homeserver.as_deref(), |name| std::env::var(name).ok())?;
    refuse_a_second_one(&options.dir)?;
    let reach = if options.open { Reach::Everywhere } else { Reach::Machine };
    let port = Port::exactly(options.port, reach, "PORT")?;
    let folder = run_folder(&options.dir)?;
    let _mark = Mark::set(&folder)?;
    let work = async {
        let chain = start(&options, &folder, port).await?;
        let room = tell(cast, &chain, options.table.as_deref()).await?;
        Ok::<_, Error>((chain, room))
    };
    let done = tokio::select! {
        done = work => done,
        () = interrupted.comes() => Err(Error::Setup("interrupted".to_owned())),
    };
    let (chain, room) = done.map_err(|why| with_logs(why, &folder))?;
    if options.once {
        return Ok(());
    }
    how_to_talk(&options, &chain, room);
    tokio::select! {
        () = interrupted.comes() => say("ending"),
        ended = watch(&chain) => ended?,
    }
    Ok(())
}

async fn start(options: &Up, folder: &Path, port: Port) -> Result<Chain> {
    let homeserver = match &options.homeserver {
        Some(url) => Homeserver::At(url.clone()),
        None => Homeserver::Own(RateLimits::Lifted),
    };
    say(format_args!("Starting the chain in {}", folder.display()));
    let begin = Instant::now();
    let translator = if options.without_envoy { Translator::Sidecar } else { Translator::Envoy };
    let folder = folder.to_owned();
    let layout = Layout { folder, homeserver, sidecar: &[], translator, base_url: true };
    let chain = Chain::start(&Parts::from_environment(), layout, port)?;
    let ready = |part: &str, at: String| {
        say(format_args!("  {part:<12}{at:<52}{:>5.1} s", begin.elapsed().as_secs_f32()));
    };
    if let Some(envoy) = &chain.envoy {
        patiently("Envoy", envoy.ready()).await?;
        ready("Envoy", format!("HTTPS and HTTP on port {}/tcp", options.port));
    }
    patiently("the sidecar", chain.sidecar.ready()).await?;
    let and_https = if options.without_envoy { ", HTTPS on the same of TCP" } else { "" };
    ready("sidecar", format!("CoAP in DTLS on port {}/udp{and_https}", options.port));
    match (&chain.synapse, &options.homeserver) {
        (Some(synapse), _) => {
            patiently("Synapse", synapse.ready()).await?;
            ready("homeserver", format!("Synapse on {}", synapse.url()));
        }
        (None, url) => {
            ready("homeserver", format!("{}, not started by us", url.as_deref().unwrap_or_default()))
        }
    }
    Ok(chain)
}

/// Plays the story on both wires and prints the table, into `file` as well. Returns what a later visitor can
/// use of it.
async fn tell(cast: Cast, chain: &Chain, file: Option<&Path>) -> Result<Option<(SignedIn, String)>> {
    let ca = chain.certificate.certificate.clone();
    say("\nOver CoAP and DTLS, as a low-bandwidth client:");
    let mut side = Side::Coap { relay: Relay::start(chain.address()).await?, ca: ca.clone() };
    let coap = play(Story::over(&mut side, Voice::Aloud), &cast, ["alice", "bob"]).await?;
    say("\nThe same over HTTPS with JSON:");
    let mut side = Side::Https { server: chain.address(), ca, meters: Vec::new() };
    let https = play(Story::over(&mut side, Voice::Aloud), &cast, ["carol", "dave"]).await?;
    if matches!(cast, Cast::Nobody) {
        say(
            "\nOnly /versions was shown: set USER1, PASSWORD1, USER2 and PASSWORD2 to two accounts of this homeserver for more.",
        );
    }
    let table = table::render(&coap.costs, &https.costs);
    say(format_args!("\nWhat it cost\n\n{table}\n\n{}", table::NOTE));
    if let Some(file) = file {
        let written = std::fs::write(file, format!("{table}\n"));
        written.map_err(Error::io(format!("write {}", file.display())))?;
    }
    Ok(coap.room)
}

async fn play(story: Story<'_>, cast: &Cast, names: [&str; 2]) -> Result<Ending> {
    match cast {
        Cast::Nobody => story.versions().await,
        Cast::Accounts([one, two]) => story.main_job(one, two).await,
        Cast::New => {
            let user = |name: &str| User {
                name: name.to_owned(),
                password: format!("{name}-demo"),
                has_account: false,
            };
            let [one, two] = names.map(user);
            story.main_job(&one, &two).await
        }
    }
}

/// Prints lines to paste. A token of an existing homeserver is not for the screen.
fn how_to_talk(options: &Up, chain: &Chain, room: Option<(SignedIn, String)>) {
    let (token, room) = match room {
        Some((user, room)) if options.homeserver.is_none() => (user.token, room),
        Some((_, room)) => ("ACCESS_TOKEN".to_owned(), room),
        None => ("ACCESS_TOKEN".to_owned(), "ROOM_ID".to_owned()),
    };
    let parts = Parts::from_environment();
    let bin = parts.bin().display();
    let ca = chain.certificate.certificate.display();
    let port = options.port;
    let base = format!("https://localhost:{port}/_matrix/client");
    let down = down_command(&options.dir);
    let reach = match options.open {
        true => "anyone who reaches this machine can register",
        false => "only this machine reaches it (OPEN=1 opens it)",
    };
    say(format_args!(
        "
It stays up until Ctrl-C, or `{down}`; {reach}. Talk to it from another terminal:

  export PATH='{bin}':\"$PATH\" CA='{ca}'
  lowband doctor -4 --cacert \"$CA\" localhost:{port}
  lowband coap --cacert \"$CA\" {base}/versions
  lowband coap --cacert \"$CA\" -H 'Authorization: Bearer {token}' \\
    -X PUT --json '{{\"msgtype\":\"m.text\",\"body\":\"Hello again\"}}' \\
    '{base}/r0/rooms/{room}/send/m.room.message/again1'
  curl --cacert \"$CA\" -H 'Authorization: Bearer {token}' \\
    '{base}/v3/rooms/{room}/messages?dir=b&limit=1'
"
    ));
}

/// Adds the logs to an error. Errors between the parts are explained by their logs; a mistake that the user
/// can put right needs one line only.
fn with_logs(why: Error, folder: &Path) -> Error {
    match why {
        Error::Deadline { .. } | Error::NoAnswer { .. } | Error::Wrong { .. } => {
            Error::Setup(format!("{why}\nThe logs are in {}.", folder.display()))
        }
        _ => why,
    }
}

async fn watch(chain: &Chain) -> Result<()> {
    let mut tick = tokio::time::interval(HEALTH_CHECK);
    loop {
        tick.tick().await;
        chain.check()?;
    }
}

fn run_folder(dir: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(dir).map_err(Error::io(format!("make {}", dir.display())))?;
    dir.canonicalize().map_err(Error::io(format!("find {}", dir.display())))
}

fn refuse_a_second_one(dir: &Path) -> Result<()> {
    let running = PidFile::all_running(dir);
    let Some(other) = running.first() else { return Ok(()) };
    let (dir, down) = (dir.display(), down_command(dir));
    Err(Error::Setup(format!(
        "{} (process {}) runs in {dir} already: end it with `{down}`, or choose another folder with DIR=FOLDER",
        other.name,
        other.id(),
    )))
}

/// Returns the command that ends the demo of this folder, quoted for a shell.
fn down_command(dir: &Path) -> String {
    let dir = dir.display().to_string();
    let is_plain = dir.chars().all(|c| c.is_ascii_alphanumeric() || "_/.-".contains(c));
    match dir.as_str() {
        "run" => "make down".to_owned(),
        _ if is_plain => format!("make down DIR={dir}"),
        _ => format!("make down DIR='{dir}'"),
    }
}

/// The file `demo.pid`: because of it a second demo in the same folder is refused, and `demo down` finds this
/// process.
struct Mark {
    folder: PathBuf,
}

impl Mark {
    fn set(folder: &Path) -> Result<Mark> {
        PidFile::write(folder, NAME, std::process::id())?;
        Ok(Mark { folder: folder.to_owned() })
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        PidFile::remove(&self.folder, NAME);
    }
}

/// The signals of Ctrl-C, of `demo down`, and of a terminal that closes.
struct Interrupted([tokio::signal::unix::Signal; 3]);

impl Interrupted {
    fn listen() -> Result<Interrupted> {
        let listen = |kind| signal(kind).map_err(Error::io("listen for signals"));
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(listen);
        Ok(Interrupted([interrupt?, terminate?, hangup?]))
    }

    async fn comes(&mut self) {
        let Interrupted([interrupt, terminate, hangup]) = self;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_ends_it_names_its_folder() {
        let told = |dir: &str| down_command(Path::new(dir));
        assert_eq!(told("run"), "make down");
        assert_eq!(told("run-a"), "make down DIR=run-a");
        assert_eq!(told("my run"), "make down DIR='my run'");
    }
}
