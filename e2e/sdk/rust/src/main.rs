//! A day of two users of matrix-rust-sdk with its own cryptography, as the library comes: over the server
//! that it is given.
//!
//! The one argument is a JSON object: `server` (URL). Lines of JSON come out, as from `../nio/day.py`, those
//! of exchanges in the order of the answers. Polls ask for what is there, but for two that wait for what
//! comes.

mod device;
mod recorder;

use device::Device;
use futures_util::StreamExt;
use matrix_sdk::attachment::AttachmentConfig;
use matrix_sdk::config::SyncSettings;
use matrix_sdk::deserialized_responses::TimelineEvent;
use matrix_sdk::media::{MediaFormat, MediaRequestParameters};
use matrix_sdk::room::{MessagesOptions, Receipts};
use matrix_sdk::ruma::api::client::filter::FilterDefinition;
use matrix_sdk::ruma::api::client::room::create_room::v3 as create_room;
use matrix_sdk::ruma::api::client::sync::sync_events::v3::Filter;
use matrix_sdk::ruma::events::reaction::ReactionEventContent;
use matrix_sdk::ruma::events::relation::Annotation;
use matrix_sdk::ruma::events::room::MediaSource;
use matrix_sdk::ruma::events::room::encryption::RoomEncryptionEventContent;
use matrix_sdk::ruma::events::room::message::MessageType;
use matrix_sdk::ruma::events::{
    AnySyncMessageLikeEvent, AnySyncTimelineEvent, InitialStateEvent, StateEventType, SyncMessageLikeEvent,
};
use matrix_sdk::ruma::{EventId, OwnedEventId, OwnedRoomId, RoomId, uint, user_id};
use matrix_sdk::{HttpError, RoomMemberships, SlidingSyncList, SlidingSyncMode};
use serde_json::{Value, json};
use std::pin::pin;
use std::time::Duration;

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The longest that a poll waits: what is awaited then will not come.
const PATIENCE: Duration = Duration::from_secs(20);
/// Sessions among which one has a slash in its id, which is base64: none has on one day in a million.
const SESSIONS: usize = 20;

/// Writes a line.
pub fn tell(line: &Value) {
    println!("{line}");
}

/// Tells what the library made of the answers.
pub fn saw(what: &str, value: Value) {
    tell(&json!({"saw": what, "value": value}));
}

/// Begins a step when a line has arrived on standard input, or its end.
fn begin(step: &str) -> Result<()> {
    tell(&json!({"step": step}));
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

fn refusal(error: &HttpError) -> Value {
    let refused = error.as_client_api_error();
    let code = error.client_api_error_kind().map(|kind| kind.errcode().to_string());
    json!([
        code,
        refused.map(|error| error.status_code.as_u16()),
        refused.is_none().then(|| error.to_string())
    ])
}

fn refused<T>(outcome: matrix_sdk::Result<T>) -> Value {
    match outcome {
        Ok(_) => json!("accepted"),
        Err(matrix_sdk::Error::Http(error)) => refusal(&error),
        Err(other) => json!(other.to_string()),
    }
}

fn kind(event: &TimelineEvent) -> Value {
    let readable = if event.kind.is_utd() { "cannot be read" } else { "read" };
    json!([readable, event.raw().get_field::<String>("type").ok().flatten()])
}

async fn first_sync(rita: &Device, ron: &Device) -> Result<()> {
    for user in [rita, ron] {
        user.news().await?;
        user.client.account().set_display_name(Some("Grüße 🛎️")).await?;
        saw("rules", json!(!user.client.account().push_rules().await?.underride.is_empty()));
    }
    Ok(())
}

/// Returns the key that opens the backup.
async fn keys_and_their_backup(rita: &Device) -> Result<String> {
    let encryption = rita.client.encryption();
    let crossed = encryption.cross_signing_status().await.is_some_and(|status| status.is_complete());
    let own = encryption.get_own_device().await?.is_some_and(|device| device.is_cross_signed_by_owner());
    saw("cross-signing", json!([crossed, own]));
    let key = encryption.recovery().enable().wait_for_backups_to_upload().await?;
    rita.news().await?;
    let states = format!("{:?} {:?}", encryption.recovery().state(), encryption.backups().state());
    saw("backup", json!([states, encryption.backups().fetch_exists_on_server().await?]));
    Ok(key)
}

async fn make_room(rita: &Device, ron: &Device) -> Result<OwnedRoomId> {
    let encryption = RoomEncryptionEventContent::with_recommended_defaults();
    let mut request = create_room::Request::new();
    request.name = Some("Grüße".to_owned());
    request.topic = Some("a\nb\u{2028}c".to_owned());
    request.invite = vec![user_id!("@ron:lb.test").to_owned()];
    request.initial_state = vec![InitialStateEvent::with_empty_state_key(encryption).to_raw_any()];
    let room = rita.client.create_room(request).await?.room_id().to_owned();
    ron.news().await?;
    saw("invited", json!(ron.client.invited_rooms().len()));
    ron.room(&room)?.join().await?;
    for user in [rita, ron] {
        user.news().await?;
        let room = user.room(&room)?;
        let mut members = room.members(RoomMemberships::JOIN).await?;
        members.sort_by_key(|member| member.user_id().to_owned());
        let members: Vec<_> = members.iter().map(|member| json!([member.user_id(), member.name()])).collect();
        let encrypted = room.latest_encryption_state().await?.is_encrypted();
        saw("room", json!([room.display_name().await?.to_string(), room.topic(), encrypted, members]));
    }
    Ok(room)
}

/// Asks for messages alone: which users are online and typing wakes nobody.
fn messages_alone() -> SyncSettings {
    let mut filter = FilterDefinition::default();
    filter.presence.not_types = vec!["*".to_owned()];
    filter.room.ephemeral.not_types = vec!["*".to_owned()];
    SyncSettings::new().timeout(PATIENCE).filter(Filter::FilterDefinition(filter))
}

async fn talk(rita: &Device, ron: &Device, room: &RoomId) -> Result<OwnedEventId> {
    rita.say(room, "Hello World").await?;
    ron.news().await?;
    let (answer, _) = ron.say(room, "Grüße 😀 \u{0} \u{2028} \"\\").await?;
    rita.news().await?;
    let receipts = Receipts::new().public_read_receipt(answer.clone()).fully_read_marker(answer.clone());
    rita.room(room)?.send_multiple_receipts(receipts).await?;
    for number in 0..6 {
        let (from, to) = if number % 2 == 0 { (ron, rita) } else { (rita, ron) };
        from.say(room, &format!("message {number} {}", "how are you? ".repeat(number))).await?;
        to.news().await?;
    }
    // One after the other, before the server's timer ends what was begun.
    for typing in [true, false] {
        rita.room(room)?.typing_notice(typing).await?;
        ron.news().await?;
    }
    let reaction = ReactionEventContent::new(Annotation::new(answer.clone(), "👍".to_owned()));
    rita.room(room)?.send(reaction).with_transaction_id(rita.transaction()).await?;
    let (regretted, _) = ron.say(room, "regretted").await?;
    ron.room(room)?.redact(&regretted, Some("typo"), Some(ron.transaction())).await?;
    for user in [rita, ron] {
        user.news().await?;
    }
    // The request waits, then comes with what it has waited for.
    let (waited, said) = tokio::join!(ron.sync(messages_alone()), rita.say(room, "awaited"));
    waited.and(said)?;
    Ok(answer)
}

async fn look_back(rita: &Device, ron: &Device, room: &RoomId, event: &EventId) -> Result<()> {
    let room = ron.room(room)?;
    let mut options = MessagesOptions::backward();
    options.limit = uint!(5);
    let newest = room.messages(options).await?;
    let mut options = MessagesOptions::backward().from(newest.end.as_deref());
    options.limit = uint!(100);
    let older = room.messages(options).await?;
    saw("history", newest.chunk.iter().chain(&older.chunk).map(kind).collect());
    saw("event", kind(&room.event(event, None).await?));
    let around = room.event_with_context(event, true, uint!(4), None).await?;
    saw("context", around.events_before.iter().chain(&around.events_after).map(kind).collect());
    saw("devices", json!(ron.client.devices().await?.devices.len()));
    let profile = ron.client.account().fetch_user_profile_of(user_id!("@rita:lb.test")).await?;
    saw("profile", json!(profile.get("displayname")));
    // Synapse learns of users by a timer: only nobody is found each time.
    let found = rita.client.search_users("xyzzy", 10).await?;
    saw("search", json!([found.limited, found.results.len()]));
    Ok(())
}

/// Returns where the file lies that a message of `ron`'s room brings.
async fn file_of(ron: &Device, room: &RoomId, event: &EventId) -> Result<MediaSource> {
    let event = ron.room(room)?.event(event, None).await?;
    match event.raw().deserialize()? {
        AnySyncTimelineEvent::MessageLike(AnySyncMessageLikeEvent::RoomMessage(
            SyncMessageLikeEvent::Original(message),
        )) => match message.content.msgtype {
            MessageType::File(file) => Ok(file.source),
            other => Err(format!("not a file: {other:?}").into()),
        },
        other => Err(format!("not a message: {other:?}").into()),
    }
}

async fn media(rita: &Device, ron: &Device, room: &RoomId) -> Result<()> {
    let bytes: Vec<u8> = (0..40_000_u64).map(|index| ((index * index) >> 5).to_le_bytes()[0]).collect();
    let config = AttachmentConfig::new().txn_id(rita.transaction());
    let kind = mime::APPLICATION_OCTET_STREAM;
    let encrypted = rita.room(room)?.send_attachment("a b.bin", &kind, bytes.clone(), config).await?;
    ron.news().await?;
    let plain = rita.client.media().upload(&kind, bytes.clone(), None).await?;
    let encrypted = file_of(ron, room, &encrypted.event_id).await?;
    for source in [encrypted, MediaSource::Plain(plain.content_uri)] {
        let wanted = MediaRequestParameters { source, format: MediaFormat::File };
        let got = ron.client.media().get_media_content(&wanted, false).await?;
        saw("media", json!([got.len(), got == bytes]));
    }
    let source = MediaSource::Plain("mxc://lb.test/nosuchmedia".into());
    let wanted = MediaRequestParameters { source, format: MediaFormat::File };
    saw("no media", refused(ron.client.media().get_media_content(&wanted, false).await));
    saw("largest", json!(ron.client.load_or_fetch_max_upload_size().await?));
    Ok(())
}

/// Returns the id of a session with a slash.
async fn key_backup(rita: &Device, ron: &Device, room: &RoomId) -> Result<String> {
    let mut with_slash = None;
    for number in 0..SESSIONS {
        rita.room(room)?.discard_room_key().await?;
        let (_, session) = rita.say(room, &format!("session {number}")).await?;
        ron.news().await?;
        with_slash = with_slash.or(session.contains('/').then_some(session));
    }
    rita.news().await?;
    with_slash.ok_or_else(|| format!("none of {SESSIONS} sessions has a slash in its id").into())
}

async fn another_device(
    rita: &Device,
    laptop: &Device,
    room: &RoomId,
    key: &str,
    session: &str,
) -> Result<()> {
    laptop.log_in("rita").await?;
    let encryption = laptop.client.encryption();
    saw("wrong key", json!(encryption.recovery().recover("EsTc wrong").await.is_err()));
    encryption.recovery().recover(key).await?;
    laptop.news().await?;
    let verified = encryption.get_own_device().await?.is_some_and(|device| device.is_verified());
    let states = format!("{:?} {:?}", encryption.recovery().state(), encryption.backups().state());
    saw("recovered", json!([verified, states]));
    let history = async || -> Result<()> {
        let mut options = MessagesOptions::backward();
        options.limit = uint!(100);
        let messages = laptop.room(room)?.messages(options).await?;
        let cannot = messages.chunk.iter().filter(|event| event.kind.is_utd()).count();
        saw("history", json!([messages.chunk.len(), cannot]));
        Ok(())
    };
    history().await?;
    saw("one key", json!(encryption.backups().download_room_key(room, session).await?));
    history().await?;
    encryption.backups().download_room_keys_for_room(room).await?;
    history().await?;
    for user in [rita, laptop] {
        user.news().await?;
    }
    laptop.say(room, "from the laptop").await?;
    rita.news().await
}

async fn sliding_sync(rita: &Device, tablet: &Device, room: &RoomId) -> Result<()> {
    tablet.log_in("ron").await?;
    let every = |kind: StateEventType| (kind, "*".to_owned());
    let list = SlidingSyncList::builder("all")
        .sync_mode(SlidingSyncMode::new_selective().add_range(0..=19))
        .required_state(
            [StateEventType::RoomEncryption, StateEventType::RoomName, StateEventType::RoomMember]
                .map(every)
                .into(),
        )
        .timeline_limit(20);
    let sliding =
        tablet.client.sliding_sync("tablet")?.add_list(list).with_all_extensions().poll_timeout(PATIENCE);
    let sliding = sliding.build().await?;
    let mut polls = pin!(sliding.sync());
    let mut poll = async || -> Result<()> {
        let summary = polls.next().await.ok_or("sliding sync has ended")??;
        saw("slid", json!([summary.lists, summary.rooms.len()]));
        tablet.tell_heard();
        Ok(())
    };
    poll().await?;
    saw("room", json!(tablet.room(room)?.display_name().await?.to_string()));
    rita.news().await?;
    rita.say(room, "slid").await?;
    poll().await?;
    tablet.say(room, "slid back").await?;
    rita.news().await?;
    poll().await?;
    let (waited, said) = tokio::join!(poll(), rita.say(room, "awaited by the tablet"));
    waited.and(said)?;
    Ok(())
}

async fn log_out(rita: &Device, ron: &Device, others: [&Device; 2], room: &RoomId) -> Result<()> {
    ron.room(room)?.leave().await?;
    ron.room(room)?.forget().await?;
    rita.news().await?;
    saw("members", json!(rita.room(room)?.members(RoomMemberships::JOIN).await?.len()));
    for device in others.into_iter().chain([ron, rita]) {
        device.auth().logout().await?;
        saw("after the end", refused(device.client.whoami().await.map_err(Into::into)));
    }
    Ok(())
}

async fn live(server: &str) -> Result<()> {
    begin("register and log in")?;
    let [nobody, rita, ron, laptop, tablet] = [
        Device::new(server, "nobody").await?,
        Device::new(server, "rita").await?,
        Device::new(server, "ron").await?,
        Device::new(server, "laptop").await?,
        Device::new(server, "tablet").await?,
    ];
    let mut flows: Vec<_> = nobody
        .auth()
        .get_login_types()
        .await?
        .flows
        .iter()
        .map(|flow| flow.login_type().to_owned())
        .collect();
    flows.sort();
    saw("flows", json!(flows));
    for user in [&rita, &ron] {
        user.register().await?;
    }
    saw("again", refused(nobody.auth().login_username("rita", "wrong horse").send().await));
    begin("first sync")?;
    first_sync(&rita, &ron).await?;
    begin("keys and their backup")?;
    let key = keys_and_their_backup(&rita).await?;
    begin("make a room")?;
    let room = make_room(&rita, &ron).await?;
    begin("talk")?;
    let event = talk(&rita, &ron, &room).await?;
    begin("look back")?;
    look_back(&rita, &ron, &room, &event).await?;
    begin("media")?;
    media(&rita, &ron, &room).await?;
    begin("key backup")?;
    let session = key_backup(&rita, &ron, &room).await?;
    begin("another device")?;
    another_device(&rita, &laptop, &room, &key, &session).await?;
    begin("sliding sync")?;
    sliding_sync(&rita, &tablet, &room).await?;
    begin("log out")?;
    log_out(&rita, &ron, [&laptop, &tablet], &room).await?;
    begin("end")
}

#[tokio::main]
async fn main() -> Result<()> {
    let settings = std::env::args().nth(1).ok_or("the argument is missing")?;
    let settings: Value = serde_json::from_str(&settings)?;
    live(settings.get("server").and_then(Value::as_str).ok_or("no server")?).await
}
