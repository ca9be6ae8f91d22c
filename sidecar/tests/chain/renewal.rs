//! A renewed certificate, written the ways that programs write it.

use crate::client::{Wire, options as options_of};
use crate::harness::{Chain, Folder};
use crate::identity::{DAY, Pair};
use crate::process::Process;
use crate::stub::{handler, ok};
use lowband_wire::coap::{Code, Method};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

const TAKEN: &str = r#"lowband_certificate_reloads_total{result="taken"}"#;
const REFUSED: &str = r#"lowband_certificate_reloads_total{result="refused"}"#;
const NOT_AFTER: &str = "lowband_certificate_not_after_timestamp_seconds";
const WORKED: &str = "lowband_certificate_last_reload_successful";

/// The option for checks as often as tests need them.
const CHECK: [&str; 2] = ["--certificate-check", "20ms"];
/// The option for no check before the test is over.
const NEVER: [&str; 2] = ["--certificate-check", "24h"];

/// Replaces the file in one step, as certbot and other programs do that rename what they have written.
fn rename_into_place(path: &Path, content: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(new, path).unwrap();
}

/// Fills a volume as the kubelet does: the names are links into `..data`, a link to a folder, which changes
/// in one step.
fn fill_volume(volume: &Path, revision: &str, pair: &Pair) {
    let folder = volume.join(revision);
    fs::create_dir(&folder).unwrap();
    pair.write(&folder);
    link(Path::new(revision), &volume.join("..data"));
}

fn link(target: &Path, path: &Path) {
    let new = path.with_file_name("..new");
    symlink(target, &new).unwrap();
    fs::rename(new, path).unwrap();
}

#[tokio::test]
async fn a_volume_whose_link_is_swapped_gives_new_handshakes_the_new_certificate_and_sessions_go_on() {
    let chain = Chain::start(ok(), &CHECK).await;
    let volume = chain.folder.path();
    let served = ["certificate.pem", "key.pem"].map(|name| fs::read(volume.join(name)).unwrap());
    let [certificate, key] = served;
    fill_volume(volume, "..0", &Pair { certificate, key });
    for name in ["certificate.pem", "key.pem"] {
        link(&Path::new("..data").join(name), &volume.join(name));
    }
    let mut held = chain.connect().await;
    held.get("0").await;
    for (taken, revision) in [(1, "..1"), (2, "..2")] {
        let pair = Pair::valid(0, 4_000_000_000 + taken);
        fill_volume(volume, revision, &pair);
        chain.metric_reaches(TAKEN, taken as f64).await;
        assert!(Wire::is_shown(chain.server, &pair.certificate).await, "{revision}");
        assert_eq!(chain.metric(NOT_AFTER).await, 4_000_000_000.0 + taken as f64);
        assert_eq!(held.get("0").await.code, Code::CONTENT, "{revision}");
    }
    assert!(!Wire::is_shown(chain.server, &Pair::new().certificate).await);
    assert_eq!((chain.metric(REFUSED).await, chain.metric(WORKED).await), (0.0, 1.0));
    held.close();
    held.closed().await;
}

#[tokio::test]
async fn files_that_are_renamed_or_written_in_place_one_after_the_other_are_taken_together() {
    for write in [rename_into_place, |path: &Path, content: &[u8]| fs::write(path, content).unwrap()] {
        let chain = Chain::start(ok(), &CHECK).await;
        let pair = Pair::new();
        write(&chain.folder.path().join("key.pem"), &pair.key);
        write(&chain.folder.path().join("certificate.pem"), &pair.certificate);
        chain.metric_reaches(TAKEN, 1.0).await;
        assert!(Wire::is_shown(chain.server, &pair.certificate).await);
    }
}

#[tokio::test]
async fn a_pair_that_does_not_fit_leaves_the_old_one_until_one_comes_that_does() {
    let chain = Chain::start(ok(), &CHECK).await;
    let old = fs::read(chain.folder.path().join("certificate.pem")).unwrap();
    let ends = chain.metric(NOT_AFTER).await;
    let right = Pair::new();
    let held = chain.connect().await;
    rename_into_place(&chain.folder.path().join("key.pem"), &Pair::new().key);
    chain.metric_reaches(REFUSED, 1.0).await;
    assert!(Wire::is_shown(chain.server, &old).await);
    assert_eq!((chain.metric(WORKED).await, chain.metric(NOT_AFTER).await), (0.0, ends));
    right.write(chain.folder.path());
    chain.metric_reaches(TAKEN, 1.0).await;
    assert!(Wire::is_shown(chain.server, &right.certificate).await);
    assert_eq!(chain.metric(WORKED).await, 1.0);
    assert_eq!(held.get("0").await.code, Code::CONTENT);
}

#[tokio::test]
async fn who_asks_does_not_wait() {
    let chain = Chain::start(ok(), &NEVER).await;
    let (right, wrong) = (Pair::new(), Pair { key: Pair::new().key, ..Pair::new() });
    wrong.write(chain.folder.path());
    chain.hang_up().await;
    chain.metric_reaches(REFUSED, 1.0).await;
    right.write(chain.folder.path());
    chain.hang_up().await;
    chain.metric_reaches(TAKEN, 1.0).await;
    assert!(Wire::is_shown(chain.server, &right.certificate).await);
}

#[tokio::test]
async fn sighup_has_the_files_looked_at_and_ends_nothing() {
    let mut process = Process::start(ok(), &NEVER).await;
    let held = Wire::connect(process.server()).await;
    process.signal("HUP").await;
    process.line_with("certificate and key are those that are served").await;

    let renewed = Pair::valid(0, 4_000_000_000);
    fs::write(process.folder().join("certificate.pem"), &renewed.certificate).unwrap();
    process.signal("HUP").await;
    let line = process.line_with("ERROR").await;
    let [key, certificate] = ["key.pem", "certificate.pem"].map(|name| process.folder().join(name));
    let why = format!("--key {key:?}: it and the certificate {certificate:?} do not belong together");
    assert!(line.trim_end().ends_with(&why), "{line}");

    renewed.write(process.folder());
    process.signal("HUP").await;
    let line = process.line_with("renewed certificate in use for new handshakes").await;
    assert!(line.contains("valid until Oct  2 07:06:40 2096 GMT") && line.contains("serial="), "{line}");
    assert!(Wire::is_shown(process.server(), &renewed.certificate).await);
    assert_eq!(held.get("0").await.code, Code::CONTENT);
}

#[tokio::test]
async fn sighup_ends_nothing_that_is_about_to_end_either() {
    let options = ["--grace-period", "24h", "--piggyback-wait", "0"];
    let hangs = handler(|_| std::future::pending());
    let mut process = Process::start(hangs, &[NEVER.as_slice(), &options].concat()).await;
    let wire = Wire::connect(process.server()).await;
    let _answered = wire.ask(Method::Get, options_of("7"), b"");
    // Requests are taken in order, so the first one is open when this one is answered.
    wire.get("/.lowband/ready").await;
    process.signal("TERM").await;
    process.line_with("draining").await;
    process.signal("HUP").await;
    process.line_with("certificate and key are those that are served").await;
    assert_eq!(process.child.try_wait().unwrap(), None);
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_served_and_told_and_so_is_one_that_ends_soon() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    for (pair, told) in [
        (Pair::valid(0, now - DAY), "clients refuse the certificate: it has expired on"),
        (Pair::valid(0, now + DAY), "the certificate should have been renewed: valid until"),
    ] {
        let folder = Folder::new();
        let (certificate, key) = pair.write(folder.path());
        let mut process = Process::with_identity(folder, ok(), &certificate, &key, &[]).await;
        let line = process.line_with("WARN").await;
        assert!(line.contains(told), "{line}");
        Wire::connect(process.server()).await;
    }
}
