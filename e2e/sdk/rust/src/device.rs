//! One device of a user, and what it hears.

use crate::{Result, recorder, saw};
use matrix_sdk::authentication::matrix::MatrixAuth;
use matrix_sdk::config::SyncSettings;
use matrix_sdk::deserialized_responses::EncryptionInfo;
use matrix_sdk::encryption::EncryptionSettings;
use matrix_sdk::encryption::backups::BackupState;
use matrix_sdk::event_handler::Ctx;
use matrix_sdk::ruma::api::client::account::register::v3 as register;
use matrix_sdk::ruma::api::client::uiaa::{AuthData, Dummy};
use matrix_sdk::ruma::events::room::encrypted::OriginalSyncRoomEncryptedEvent;
use matrix_sdk::ruma::events::room::message::{OriginalSyncRoomMessageEvent, RoomMessageEventContent};
use matrix_sdk::ruma::{OwnedEventId, OwnedTransactionId, RoomId};
use matrix_sdk::sliding_sync::VersionBuilder;
use matrix_sdk::{Client, Room};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub const PASSWORD: &str = "correct horse";

/// Messages that have come and are not told yet.
#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Vec<Value>>>);

impl Heard {
    fn push(&self, value: Value) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(value);
    }

    fn take(&self) -> Vec<Value> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The library on one device.
pub struct Device {
    pub name: &'static str,
    pub client: Client,
    /// The address that the library has been given.
    url: String,
    heard: Heard,
    /// Messages sent so far.
    sent: AtomicUsize,
}

impl Device {
    /// Makes a device that has not signed in. The library asks the address that it gets where its server is.
    pub async fn new(server: &str, name: &'static str) -> Result<Device> {
        let url = recorder::start(server, name).await?;
        let encryption =
            EncryptionSettings { auto_enable_cross_signing: true, ..EncryptionSettings::default() };
        let client = Client::builder()
            .server_name_or_homeserver_url(&url)
            .sliding_sync_version_builder(VersionBuilder::DiscoverNative)
            .with_encryption_settings(encryption)
            .build()
            .await?;
        let heard = Heard::default();
        client.add_event_handler_context(heard.clone());
        client.add_event_handler(
            |event: OriginalSyncRoomMessageEvent, how: Option<EncryptionInfo>, heard: Ctx<Heard>| async move {
                heard.push(json!([event.sender, event.content.body(), how.is_some()]));
            },
        );
        client.add_event_handler(|event: OriginalSyncRoomEncryptedEvent, heard: Ctx<Heard>| async move {
            heard.push(json!([event.sender, "cannot be read"]));
        });
        Ok(Device { name, client, url, heard, sent: AtomicUsize::new(0) })
    }

    pub fn auth(&self) -> MatrixAuth {
        self.client.matrix_auth()
    }

    /// Makes an account of the device's name.
    pub async fn register(&self) -> Result<()> {
        let mut request = register::Request::new();
        request.username = Some(self.name.to_owned());
        request.password = Some(PASSWORD.to_owned());
        request.initial_device_display_name = Some("phone".to_owned());
        request.auth = Some(AuthData::Dummy(Dummy::new()));
        self.auth().register(request).await?;
        self.signed_in().await
    }

    /// Signs in to an account as one more device.
    pub async fn log_in(&self, user: &str) -> Result<()> {
        self.auth().login_username(user, PASSWORD).initial_device_display_name(self.name).send().await?;
        self.signed_in().await
    }

    async fn signed_in(&self) -> Result<()> {
        self.client.encryption().wait_for_e2ee_initialization_tasks().await;
        let stays = self.client.homeserver().as_str().trim_end_matches('/') == self.url;
        saw(&format!("{} is", self.name), json!([self.client.whoami().await?.user_id, stays]));
        Ok(())
    }

    pub fn room(&self, room: &RoomId) -> Result<Room> {
        self.client.get_room(room).ok_or_else(|| format!("{} does not know the room", self.name).into())
    }

    /// Polls without waiting.
    pub async fn news(&self) -> Result<()> {
        self.sync(SyncSettings::new().timeout(Duration::ZERO)).await
    }

    /// Polls once, and tells what it has heard.
    pub async fn sync(&self, settings: SyncSettings) -> Result<()> {
        self.client.sync_once(settings).await?;
        self.tell_heard();
        self.back_up().await
    }

    pub fn tell_heard(&self) {
        for message in self.heard.take() {
            saw(&format!("{} hears", self.name), message);
        }
    }

    /// Returns a transaction id that is the same on each day; the library would draw one.
    pub fn transaction(&self) -> OwnedTransactionId {
        format!("{}-{}", self.name, self.sent.fetch_add(1, Ordering::Relaxed)).into()
    }

    /// Says something. Returns the event and the session that it is encrypted with.
    pub async fn say(&self, room: &RoomId, text: &str) -> Result<(OwnedEventId, String)> {
        let content = RoomMessageEventContent::text_plain(text);
        let sent = self.room(room)?.send(content).with_transaction_id(self.transaction()).await?;
        let session = sent.encryption_info.as_ref().and_then(|info| info.session_id()).unwrap_or_default();
        self.back_up().await?;
        Ok((sent.response.event_id, session.to_owned()))
    }

    /// Waits until all keys are in the backup, where there is one: so that each day has as many uploads.
    pub async fn back_up(&self) -> Result<()> {
        let backups = self.client.encryption().backups();
        if backups.state() == BackupState::Enabled {
            backups.wait_for_steady_state().with_delay(Duration::ZERO).await?;
        }
        Ok(())
    }
}
