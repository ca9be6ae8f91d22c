//! What systemd is told (sd_notify(3)): that the sidecar serves, looks at its files again, lives, and ends.
//! Where no service manager asks for it (`NOTIFY_SOCKET` is not set), nothing is sent.

use crate::event_loop::Inspector;
use sd_notify::NotifyState;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Reports that clients are served.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Reports that certificate and key are looked at again; [`ready`] follows.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "the service manager is not told of a reload"),
    }
}

/// Reports that the end has begun.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Reports twice in each period of the watchdog (`WatchdogSec=`) that the event loop answers. Returns at once
/// where there is none.
pub(crate) async fn keep_alive(inspector: Inspector) {
    let Some(period) = sd_notify::watchdog_enabled().filter(|period| *period > Duration::ZERO) else {
        return;
    };
    loop {
        sleep(period / 2).await;
        if let Ok(Some(_)) = timeout(period / 2, inspector.snapshot()).await {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager is not told");
    }
}
