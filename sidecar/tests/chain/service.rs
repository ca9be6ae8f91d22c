//! What a service manager is told, and the unit by which systemd runs the sidecar.

use crate::harness::{Folder, PATIENCE};
use crate::process::Process;
use clap::CommandFactory;
use lowband_sidecar::config::Options;
use tokio::net::UnixDatagram;

const UNIT: &str = include_str!("../../../deploy/systemd/lowband-sidecar.service");

async fn next(socket: &UnixDatagram) -> String {
    let mut message = [0; 256];
    let received = tokio::time::timeout(PATIENCE, socket.recv(&mut message)).await;
    let length = received.expect("no message").unwrap();
    String::from_utf8(message[..length].to_vec()).unwrap()
}

/// Returns the next message that is no sign of life.
async fn next_state(socket: &UnixDatagram) -> String {
    loop {
        let message = next(socket).await;
        if message.trim() != "WATCHDOG=1" {
            return message;
        }
    }
}

#[tokio::test]
async fn the_service_manager_hears_of_the_start_of_a_reload_of_life_and_of_the_end() {
    let folder = Folder::new();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "100000")];
    let mut process = Process::start_in(&environment).await;
    assert_eq!(next(&socket).await.trim(), "READY=1");
    for _ in 0..3 {
        assert_eq!(next(&socket).await.trim(), "WATCHDOG=1");
    }
    process.signal("HUP").await;
    let message = next_state(&socket).await;
    assert!(message.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{message}");
    assert_eq!(next_state(&socket).await.trim(), "READY=1");
    process.signal("TERM").await;
    assert_eq!(next_state(&socket).await.trim(), "STOPPING=1");
    assert!(process.child.wait().await.unwrap().success());
}

#[test]
fn the_unit_sets_options_that_there_are_and_leaves_the_sidecar_no_more_than_it_needs() {
    let command = Options::command();
    let known: Vec<_> = command.get_arguments().filter_map(|arg| arg.get_env()?.to_str()).collect();
    for line in UNIT.lines().filter_map(|line| line.strip_prefix("Environment=")) {
        let name = line.split('=').next().unwrap();
        assert!(known.contains(&name), "{line}");
    }
    for line in [
        "Type=notify",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "WatchdogSec=30s",
        "User=lowband",
        "CapabilityBoundingSet=",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "SystemCallFilter=@system-service",
    ] {
        assert!(UNIT.lines().any(|each| each == line), "{line}");
    }
}
