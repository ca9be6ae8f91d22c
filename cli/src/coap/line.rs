//! The line to the server: one session of CoAP for all URLs, or with `--http` a connection for each.

use super::answer::Answer;
use super::write_out::Measures;
use super::{Job, Part, dtls, http};
use crate::exit::Failure;

/// A line of either protocol.
pub(super) enum Line {
    Coap(Box<dtls::Line>),
    Http,
}

impl Line {
    pub(super) fn coap(choices: dtls::Choices, job: &Job) -> Result<Line, Failure> {
        Ok(Line::Coap(Box::new(dtls::Line::new(choices, job)?)))
    }

    pub(super) fn http() -> Line {
        Line::Http
    }

    /// Asks for one URL; connects before it, where there is no connection.
    pub(super) async fn exchange(
        &mut self,
        job: &Job,
        part: &Part,
        measures: &mut Measures,
    ) -> Result<Answer, Failure> {
        match self {
            Line::Coap(line) => line.exchange(job, part, measures).await,
            Line::Http => http::exchange(job, part, measures).await,
        }
    }

    /// Returns whether there is no session, so that the other URLs need not be asked for.
    pub(super) fn is_down(&self) -> bool {
        match self {
            Line::Coap(line) => line.is_down(),
            Line::Http => false,
        }
    }

    /// Writes what -v has to say after an exchange. After the last one the session is closed first, so that
    /// all its datagrams are counted.
    pub(super) async fn report(
        &mut self,
        job: &Job,
        answer: Option<&Answer>,
        measures: &Measures,
        is_last: bool,
    ) {
        if let Line::Coap(line) = self {
            line.report(job, *measures, is_last).await;
        }
        if let Some(answer) = answer {
            job.verbose.answered(measures.answered);
            job.verbose.answer(&answer.head, answer.body.len());
        }
    }

    /// Ends the session, if there is one.
    pub(super) async fn close(&mut self) {
        if let Line::Coap(line) = self {
            line.close().await;
        }
    }
}
