// A day of two users of matrix-js-sdk with its Rust cryptography, as the library comes: over the server that it
// is given.
//
// The one argument is a JSON object: `server` (URL). Lines of JSON come out, as from ../nio/day.py; requests come
// without their bodies, because the library decides by itself how often it polls.
import {Console} from 'node:console';
import {createInterface} from 'node:readline';

// The library's log goes to standard error. It takes the console that is there when it is loaded.
globalThis.console = new Console(process.stderr, process.stderr);
const sdk = await import('matrix-js-sdk');
const {CryptoEvent, decodeRecoveryKey} = await import('matrix-js-sdk/lib/crypto-api/index.js');
const {RustBackupManager} = await import('matrix-js-sdk/lib/rust-crypto/backup.js');
const {SlidingSync} = await import('matrix-js-sdk/lib/sliding-sync.js');

const {server} = JSON.parse(process.argv[2]);
const PASSWORD = 'correct horse';
// No step waits for longer: what is awaited then will not come.
const PATIENCE = 20_000;
const ENCRYPTION = {type: 'm.room.encryption', state_key: '', content: {algorithm: 'm.megolm.v1.aes-sha2'}};

const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const saw = (what, value) => tell({saw: what, value});

/** The platform's own fetch, and a note on each exchange. */
const fetchFn = (name) => async (resource, options) => {
    const asked = `${options?.method ?? 'GET'} ${new URL(resource).pathname}`;
    const response = await fetch(resource, options);
    tell({asked, user: name, status: response.status, type: response.headers.get('content-type')?.split(';')[0] ?? null});
    return response;
};

const soon = (what, promise) => {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`${what} has not come`)), PATIENCE);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};

/** Resolves with what `look` returns, asked now and at each of the events, once that is not undefined. */
const until = (what, emitter, events, look) => soon(what, new Promise((resolve) => {
    const again = async () => {
        const seen = await look();
        if (seen === undefined) return;
        for (const event of events) emitter.off(event, again);
        resolve(seen);
    };
    for (const event of events) emitter.on(event, again);
    again();
}));

const synced = (client) => until('the first sync', client, [sdk.ClientEvent.Sync],
    () => (client.getSyncState() === sdk.SyncState.Prepared || client.getSyncState() === sdk.SyncState.Syncing ? true : undefined));

const ROOM_EVENTS = [sdk.RoomEvent.Timeline, sdk.MatrixEventEvent.Decrypted, sdk.ClientEvent.Room, sdk.RoomEvent.MyMembership,
    sdk.RoomStateEvent.Events, sdk.RoomEvent.Receipt, sdk.RoomEvent.Redaction, sdk.ClientEvent.Sync];
const inRoom = (what, client, id, look) => until(what, client, ROOM_EVENTS, () => {
    const room = client.getRoom(id);
    return room ? look(room) : undefined;
});

const readable = (client, id, body) => inRoom(`«${body}»`, client, id, (room) => room.getLiveTimeline().getEvents().find(
    (event) => event.getType() === 'm.room.message' && event.getContent().body === body && !event.isDecryptionFailure()));

const account = (name, {user_id: userId, device_id: deviceId, access_token: accessToken}, key) => sdk.createClient({
    baseUrl: server, userId, deviceId, accessToken, fetchFn: fetchFn(name),
    cryptoCallbacks: {
        getSecretStorageKey: async ({keys}) => (key.bytes ? [Object.keys(keys)[0], key.bytes] : null),
        cacheSecretStorageKey: (_id, _info, bytes) => { key.bytes = bytes; },
    },
});

const start = async (client, options = {}) => {
    await client.initRustCrypto({useIndexedDB: false});
    await client.startClient({initialSyncLimit: 10, lazyLoadMembers: true, threadSupport: true, ...options});
    await synced(client);
};

const nobody = sdk.createClient({baseUrl: server, fetchFn: fetchFn('nobody')});
// So that clients do not meet at their server, the library waits for some seconds before it uploads keys.
RustBackupManager.maxBackupLoopStartDelayMillis = 0;
const key = {};
const day = {};

/** Says something that the other one reads. */
const talk = async (from, to, body) => {
    const {event_id: id} = await from.sendTextMessage(day.room, body);
    const event = await readable(to, day.room, body);
    saw('read', [event.getSender(), body, event.isEncrypted()]);
    return [id, event];
};

const logIn = (user, name) => nobody.loginRequest({
    type: 'm.login.password', identifier: {type: 'm.id.user', user}, password: PASSWORD, initial_device_display_name: name,
});

const STEPS = {
    'register and log in': async () => {
        saw('flows', (await nobody.loginFlows()).flows.map(({type}) => type).sort());
        for (const name of ['jane', 'jim']) {
            const signedIn = await nobody.register(name, PASSWORD, null, {type: 'm.login.dummy'});
            saw('who', signedIn.user_id);
            day[name] = account(name, signedIn, name === 'jane' ? key : {});
        }
    },
    'first sync': async () => {
        for (const client of [day.jane, day.jim]) {
            await start(client);
            await client.setDisplayName('Grüße 🛎️');
            saw('rules', client.pushRules.global.underride.length > 0);
        }
    },
    'keys and their backup': async () => {
        const crypto = day.jane.getCrypto();
        await crypto.bootstrapCrossSigning({
            setupNewCrossSigning: true,
            authUploadDeviceSigningKeys: (upload) => upload(
                {type: 'm.login.password', identifier: {type: 'm.id.user', user: 'jane'}, password: PASSWORD}),
        });
        await crypto.bootstrapSecretStorage({
            createSecretStorageKey: async () => {
                const made = await crypto.createRecoveryKeyFromPassphrase();
                key.bytes = decodeRecoveryKey(made.encodedPrivateKey);
                return made;
            },
            setupNewSecretStorage: true,
            setupNewKeyBackup: true,
        });
        saw('cross-signing', [await crypto.isCrossSigningReady(), await crypto.isSecretStorageReady()]);
        saw('backup', await crypto.getActiveSessionBackupVersion());
    },
    'make a room': async () => {
        const about = {name: 'Grüße', topic: 'a\nb\u2028c', invite: ['@jim:lb.test'], initial_state: [ENCRYPTION]};
        const made = await day.jane.createRoom(about);
        day.room = made.room_id;
        await inRoom('the invitation', day.jim, day.room, (room) => room.getMyMembership() === 'invite' || undefined);
        await day.jim.joinRoom(day.room);
        for (const client of [day.jane, day.jim]) {
            const seen = await inRoom('the room', client, day.room, (room) => (room.getMyMembership() === 'join'
                && room.getJoinedMemberCount() === 2 && room.hasEncryptionStateEvent() ? room.name : undefined));
            saw('room', seen);
        }
    },
    talk: async () => {
        await talk(day.jane, day.jim, 'Hello World');
        const [, event] = await talk(day.jim, day.jane, 'Grüße 😀 \u0000 \u2028 "\\');
        await day.jane.sendReadReceipt(event);
        const isRead = (room) => room.hasUserReadEvent('@jane:lb.test', event.getId()) || undefined;
        await inRoom('the receipt', day.jim, day.room, isRead);
        for (let number = 0; number < 6; number += 1) {
            const [from, to] = number % 2 ? [day.jane, day.jim] : [day.jim, day.jane];
            await talk(from, to, `message ${number} ${'how are you? '.repeat(number)}`);
        }
        await day.jane.sendTyping(day.room, true, 30_000);
        const relation = {rel_type: 'm.annotation', event_id: event.getId(), key: '👍'};
        await day.jane.sendEvent(day.room, 'm.reaction', {'m.relates_to': relation});
        const [regretted] = await talk(day.jim, day.jane, 'regretted');
        await day.jim.redactEvent(day.room, regretted, undefined, {reason: 'typo'});
        await inRoom('the redaction', day.jane, day.room, (room) => room.findEventById(regretted)?.isRedacted() || undefined);
    },
    'look back': async () => {
        const {chunk, end} = await day.jim.createMessagesRequest(day.room, null, 5, sdk.Direction.Backward);
        const older = await day.jim.createMessagesRequest(day.room, end, 100, sdk.Direction.Backward);
        saw('history', [...chunk, ...older.chunk].map(({type}) => type));
        saw('devices', (await day.jim.getDevices()).devices.length);
        saw('profile', await day.jim.getProfileInfo('@jane:lb.test'));
        saw('search', (await day.jim.searchUserDirectory({term: 'jane'})).limited);
    },
    media: async () => {
        const bytes = Uint8Array.from({length: 40_000}, (_, index) => (index * index) >> 5);
        const file = {name: 'a b.bin', type: 'application/octet-stream'};
        const {content_uri: uri} = await day.jane.uploadContent(new Blob([bytes]), file);
        const download = async (mxc) => {
            const url = day.jim.mxcUrlToHttp(mxc, undefined, undefined, undefined, false, true, true);
            return fetchFn('jim')(url, {headers: {Authorization: `Bearer ${day.jim.getAccessToken()}`}});
        };
        const got = new Uint8Array(await (await download(uri)).arrayBuffer());
        saw('media', [got.length, Buffer.compare(got, bytes)]);
        const missing = await download('mxc://lb.test/nosuchmedia');
        saw('no media', [missing.status, (await missing.json()).errcode]);
    },
    'key backup': async () => {
        // Ids of sessions are base64: one with a slash has to be among those in the backup.
        for (let number = 0; !day.slash; number += 1) {
            await day.jane.getCrypto().forceDiscardSession(day.room);
            const {event_id: id} = await day.jane.sendTextMessage(day.room, `session ${number}`);
            const event = await readable(day.jim, day.room, `session ${number}`);
            day.slash = event.getWireContent().session_id.includes('/') && {id, body: event.getContent().body};
        }
        const prefix = {prefix: '/_matrix/client/v3'};
        const version = () => day.jane.http.authedRequest('GET', '/room_keys/version', undefined, undefined, prefix);
        await soon('the backup of all keys', (async () => {
            const all = new Set(JSON.parse(await day.jane.getCrypto().exportRoomKeysAsJson()).map((each) => each.session_id)).size;
            while ((await version()).count < all);
        })());
        saw('all keys are in the backup', true);
    },
    'another device': async () => {
        day.laptop = account('laptop', await logIn('jane', 'laptop'), key);
        await start(day.laptop);
        await day.laptop.getCrypto().loadSessionBackupPrivateKeyFromSecretStorage();
        await day.laptop.getCrypto().checkKeyBackupAndEnable();
        const room = day.laptop.getRoom(day.room);
        await day.laptop.scrollback(room, 100);
        const event = await readable(day.laptop, day.room, day.slash.body);
        saw('read', [event.getSender(), event.isEncrypted()]);
        const {total, imported} = await day.laptop.getCrypto().restoreKeyBackup();
        saw('restored', total === imported && total > 2);
        await readable(day.laptop, day.room, 'Hello World');
        day.laptop.stopClient();
    },
    'sliding sync': async () => {
        day.tablet = account('tablet', await logIn('jim', 'tablet'), {});
        const list = {ranges: [[0, 19]], required_state: [['*', '*']], timeline_limit: 20, filters: {}};
        const subscription = {required_state: [['*', '*']], timeline_limit: 20};
        const slidingSync = new SlidingSync(server, new Map([['all', list]]), subscription, day.tablet, 30_000);
        await start(day.tablet, {slidingSync});
        saw('room', (await inRoom('the room', day.tablet, day.room, (room) => room)).name);
        await until('the new device', day.jane, [CryptoEvent.DevicesUpdated, sdk.ClientEvent.Sync], async () => {
            const devices = await day.jane.getCrypto().getUserDeviceInfo(['@jim:lb.test']);
            return devices.get('@jim:lb.test').size === 2 || undefined;
        });
        await talk(day.jane, day.tablet, 'slid');
        await talk(day.tablet, day.jane, 'slid back');
        day.tablet.stopClient();
    },
    'log out': async () => {
        await day.jim.leave(day.room);
        await inRoom('the end', day.jane, day.room, (room) => room.getMember('@jim:lb.test')?.membership === 'leave' || undefined);
        for (const client of [day.laptop, day.tablet, day.jim, day.jane]) {
            const token = client.getAccessToken();
            await client.logout(true);
            const gone = sdk.createClient({baseUrl: server, accessToken: token, fetchFn: fetchFn('nobody')});
            saw('after the end', await gone.whoami().catch((error) => [error.errcode, error.httpStatus]));
        }
        saw('refused', await logIn('nobody', 'x').catch((error) => [error.errcode, error.httpStatus]));
    },
};

const answers = createInterface({input: process.stdin})[Symbol.asyncIterator]();
for (const [name, step] of Object.entries(STEPS)) {
    tell({step: name});
    await answers.next();
    await step();
}
tell({step: 'end'});
process.exit(0);
