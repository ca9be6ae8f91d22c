//! The sum of what was shown, and what HTTPS with JSON would have cost for the same.

use super::https::{self, Cost};
use super::json::Object;
use super::text::{counted, grouped};
use crate::exchange::{Exchange, State, Traffic};
use crate::session::{Protection, Session};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::SocketAddr;

/// Sums over exchanges and sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    exchanges: u64,
    unfinished: u64,
    repeats: u64,
    sessions: u64,
    traffic: Traffic,
    /// What all sessions have carried, whether or not it was shown.
    all: Traffic,
    /// Sessions of which nothing was shown.
    silent: u64,
    /// Bytes of the headers of IP and UDP.
    headers: u64,
    https: Cost,
    /// Sessions that exchanges were shown of and that are not over, and whether their client has sent an
    /// access token. The reader's own limit of sessions holds for them too.
    open: BTreeSet<u32>,
    with_token: BTreeSet<u32>,
}

impl Totals {
    /// Adds an exchange that is shown, and returns what it would have cost over HTTPS.
    pub fn exchange(&mut self, exchange: &Exchange) -> Cost {
        self.exchanges += 1;
        self.unfinished += u64::from(exchange.state != State::Complete);
        self.repeats += u64::from(exchange.repeats);
        self.traffic(exchange.client, exchange.up);
        self.traffic(exchange.client, exchange.down);
        self.open.insert(exchange.session);
        if exchange.access_token {
            self.with_token.insert(exchange.session);
        }
        let cost = https::exchange(exchange, self.with_token.contains(&exchange.session));
        self.https += cost;
        cost
    }

    /// Adds a session that is over, if an exchange of it was shown: its handshake and its alerts. Over HTTPS
    /// it would have been a connection.
    pub fn session(&mut self, session: &Session) {
        self.with_token.remove(&session.number);
        [session.up, session.down].into_iter().for_each(|traffic| self.all.add(traffic));
        if !self.open.remove(&session.number) {
            self.silent += 1;
            return;
        }
        self.sessions += 1;
        self.traffic(session.client, session.handshake_up);
        self.traffic(session.client, session.handshake_down);
        // Of a session that began before the capture the connection is left out as well.
        if session.protection == Protection::Dtls && session.handshake_up.datagrams > 1 {
            self.https += https::connection();
        }
    }

    fn traffic(&mut self, client: SocketAddr, traffic: Traffic) {
        /// Bytes of the headers of IP and UDP.
        const HEADERS: [u64; 2] = [20 + 8, 40 + 8];
        let [ipv4, ipv6] = HEADERS;
        self.traffic.bytes += traffic.bytes;
        self.traffic.datagrams += traffic.datagrams;
        self.headers += traffic.datagrams * if client.is_ipv4() { ipv4 } else { ipv6 };
    }

    /// Returns what HTTPS would have cost.
    pub fn https(&self) -> Cost {
        self.https
    }

    /// Returns bytes on the wire as a share of those of HTTPS, in percent; None if that is nothing.
    fn share(&self) -> Option<u64> {
        let own = self.traffic.bytes + self.headers;
        (100 * own + self.https.wire() / 2).checked_div(self.https.wire())
    }

    /// Returns what sessions have carried besides what was shown: handshakes that led to nothing, what cannot
    /// be read, late copies.
    fn besides(&self) -> Option<Traffic> {
        let bytes = self.all.bytes.saturating_sub(self.traffic.bytes);
        let datagrams = self.all.datagrams.saturating_sub(self.traffic.datagrams);
        (datagrams > 0).then_some(Traffic { bytes, datagrams })
    }

    /// Writes a line about what sessions have carried besides, if they have. That means something where all
    /// exchanges are shown.
    pub fn besides_text(&self, out: &mut String) {
        let Some(Traffic { bytes, datagrams }) = self.besides() else { return };
        let [datagrams, bytes] = [counted(datagrams, "datagram"), counted(bytes, "byte")];
        let _infallible = write!(out, "of no exchange: {datagrams}, {bytes} of payload");
        if self.silent > 0 {
            let _infallible = write!(out, "; {} without an exchange", counted(self.silent, "session"));
        }
        out.push('\n');
    }

    /// Writes the same as an object on a line.
    ///
    /// ```text
    /// {"besides":{"datagrams":8,"bytes":1429,"sessions":1}}
    /// ```
    pub fn besides_json(&self, out: &mut String) {
        let Some(Traffic { bytes, datagrams }) = self.besides() else { return };
        let mut object = Object::begin(out);
        object.object("besides", |object| {
            object.bare("datagrams", datagrams);
            object.bare("bytes", bytes);
            object.bare("sessions", self.silent);
        });
        object.end();
        out.push('\n');
    }

    /// Writes the sums as two lines.
    pub fn text(&self, out: &mut String) {
        let exchanges = counted(self.exchanges, "exchange");
        let _infallible = write!(out, "{exchanges} in {}", counted(self.sessions, "session"));
        if self.unfinished > 0 {
            let _infallible = write!(out, ", {} not complete", grouped(self.unfinished));
        }
        if self.repeats > 0 {
            let _infallible = write!(out, ", {}", counted(self.repeats, "repeat"));
        }
        let datagrams = counted(self.traffic.datagrams, "datagram");
        let payload = counted(self.traffic.bytes, "byte");
        let wire = grouped(self.traffic.bytes + self.headers);
        let _infallible = writeln!(out, ": {datagrams}, {payload} of payload, {wire} on the wire");
        let Some(share) = self.share() else { return };
        let segments = counted(self.https.segments, "segment");
        let [payload, wire] = [self.https.payload, self.https.wire()].map(grouped);
        let _infallible = writeln!(
            out,
            "over HTTPS with JSON, estimated: {segments}, {payload} bytes of payload, {wire} on the wire; \
             this is {share} % of it"
        );
    }

    /// Writes the sums as one object on a line.
    ///
    /// ```text
    /// {"totals":{"exchanges":8,"sessions":2,"not_complete":0,"repeats":0,"datagrams":42,"bytes":12214,
    ///  "wire_bytes":13390,"https_segments":51,"https_bytes":21391,"https_wire_bytes":24075}}
    /// ```
    pub fn json(&self, out: &mut String) {
        let mut object = Object::begin(out);
        object.object("totals", |object| {
            object.bare("exchanges", self.exchanges);
            object.bare("sessions", self.sessions);
            object.bare("not_complete", self.unfinished);
            object.bare("repeats", self.repeats);
            object.bare("datagrams", self.traffic.datagrams);
            object.bare("bytes", self.traffic.bytes);
            object.bare("wire_bytes", self.traffic.bytes + self.headers);
            object.bare("https_segments", self.https.segments);
            object.bare("https_bytes", self.https.payload);
            object.bare("https_wire_bytes", self.https.wire());
        });
        object.end();
        out.push('\n');
    }
}
