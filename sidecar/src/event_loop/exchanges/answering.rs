//! What upstream tasks report, on its way to the clients.

use super::{Exchanges, Open};
use crate::answer::{Command, Piece};
use crate::credentials::News;
use lowband_transport::{ExchangeId, Server};
use std::time::Instant;

impl Exchanges {
    /// Carries out a command of an upstream task.
    pub(in super::super) fn command(
        &mut self,
        now: Instant,
        server: &mut Server,
        exchange: ExchangeId,
        command: Command,
    ) {
        // The exchange was cancelled in the meantime: dropping the command notifies the task.
        let Some(open) = self.open.get_mut(&exchange) else {
            if !matches!(command, Command::Token(_)) {
                self.end_left(exchange);
            }
            return;
        };
        let piece = match command {
            Command::Start { code, options, piece, waited: at_upstream } => {
                self.polls.remove(open.line.session, exchange);
                let waited = now.duration_since(open.line.read);
                self.metrics.upstream_answered(waited, open.is_long_poll);
                open.line.code = Some(code);
                open.line.first_piece = Some(waited);
                if open.shows_an_account && code.is_success() {
                    server.vouch(open.line.session);
                }
                self.own_time.begin(open.line.read, at_upstream);
                server.respond_head(now, exchange, code, options);
                piece
            }
            Command::Continue(piece) => piece,
            Command::Token(news) => {
                self.metrics.access_token_ended(&news);
                match news {
                    News::Refused(token) => server.refuse_access_token(open.line.session, &token),
                    News::Accepted(token) => server.accept_access_token(open.line.session, &token),
                    News::Ended(token) => server.end_access_token(open.line.session, &token),
                }
                return;
            }
            Command::Refuse { refusal, failure } => {
                if let Some(failure) = &failure {
                    self.metrics.upstream_failed(failure);
                }
                open.line.failure = failure;
                if let Some(Open { mut line, .. }) = self.take(exchange) {
                    if line.code.is_some() {
                        server.fail(now, exchange, refusal.code, &refusal.text);
                        line.code = Some(refusal.code);
                        self.finish(now, line);
                    } else {
                        self.refuse(now, server, exchange, line, &refusal);
                    }
                }
                return;
            }
        };
        let Piece { bytes, go_on } = piece;
        open.line.bytes_out += bytes.len();
        let last = go_on.is_none();
        open.go_on = go_on;
        server.respond_chunk(now, exchange, &bytes, last);
        if last {
            if let Some(Open { line, .. }) = self.take(exchange) {
                self.finish(now, line);
            }
        } else {
            self.go_on(server, exchange);
        }
    }

    /// Lets the task read on if the transport wants more.
    pub(in super::super) fn go_on(&mut self, server: &Server, exchange: ExchangeId) {
        if let Some(open) = self.open.get_mut(&exchange)
            && server.wants_chunk(exchange)
            && let Some(go_on) = open.go_on.take()
        {
            // A task that has ended needs no signal.
            let _ = go_on.send(());
        }
    }
}
