//! The `lowband` binary against the stub server of the client library's tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails, in its helpers too"
)]

#[allow(dead_code, reason = "the rest is for the library's tests")]
#[path = "../../../client/tests/library/certificate.rs"]
mod certificate;
mod coap_command;
mod coap_failures;
mod coap_many;
mod command;
mod doctor;
mod doctor_losses;
mod http_command;
mod jc_command;
mod jc_readers;
mod json_bodies;
mod link_options;
mod progress_bar;
mod proxy_command;
mod shell_files;
mod show_command;
#[path = "../../../client/tests/library/slow_link.rs"]
mod slow_link;
#[allow(dead_code, reason = "the rest is for the library's tests")]
#[path = "../../../client/tests/library/stub_server.rs"]
mod stub_server;
mod terminal;
mod tutorial;
