//! What can be set, in groups that are parsed together. Each group has a file with its flags, their help, and
//! the part of the configuration that they become.

mod bodies;
mod end;
mod homeserver;
mod messages;
mod process;
mod public;
mod rates;
mod serving;
mod sessions;
mod upstream;

pub(super) use bodies::Bodies;
pub(super) use end::End;
pub(super) use homeserver::Homeserver;
pub(super) use messages::Messages;
pub(super) use process::Process;
pub use process::{LogFormat, LogLevel};
pub(super) use public::Public;
pub(super) use rates::Rates;
pub(super) use serving::Serving;
pub(super) use sessions::Sessions;
pub(super) use upstream::Upstream;

/// Upper limit of every count.
const MANY: u64 = 10_000_000;
/// Upper limit of every size in bytes.
const MEMORY: u64 = 1 << 40;
