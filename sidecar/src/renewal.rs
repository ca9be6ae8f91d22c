//! A certificate that is renewed while the sidecar serves.
//!
//! ```text
//! a timer, SIGHUP -> Paths::read -> Renewal::look -> the event loop, which serves it
//!                                                 -> or the old one stays, with one line in the log
//! ```
//!
//! The content of the files is read again every few seconds. Notifications of the system would have to follow
//! whatever way the files are renewed: a volume of Kubernetes swaps a symbolic link two folders up, certbot
//! turns one towards another file, other programs write in place, and a network disk does not notify at all.
//! Reading two small files costs less than a request.
//!
//! [`Renewal`] decides, and knows neither files nor clock; `watch` has both.

use crate::config::{Files, Identity, Mistake, Paths};

mod watch;

pub(crate) use watch::Watch;

const DAY: i64 = 24 * 3600;
/// Seconds between two reminders of a certificate whose renewal is overdue.
const REMIND: i64 = DAY;
/// Seconds before its end at which a certificate is spoken of, however long it lives. One that lives less
/// than twice as long is left out: its renewal is not due yet.
const MARKS: [i64; 3] = [30 * DAY, 7 * DAY, DAY];

/// The identity that is served, and what else has been seen in its place.
pub struct Renewal {
    paths: Paths,
    identity: Identity,
    /// The files of the last look, where they differ from what is served.
    seen: Option<Files>,
    /// The files that were last refused, and the mistakes that were reported.
    refused: Option<(Files, Vec<Mistake>)>,
    reminded: Option<i64>,
    /// The mark that was last told of; `None` before the first one.
    mark: Option<i64>,
}

/// A line for the log about the end of the certificate that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reminder {
    /// True if clients refuse the certificate, or if its renewal is overdue.
    pub is_overdue: bool,
    /// What is wrong, or will be, as a line for the log.
    pub what: String,
}

/// What a look at the files leads to.
#[derive(Debug)]
pub enum Step {
    /// There is nothing to do and nothing to report.
    Nothing,
    /// The files hold what is served: the look was asked for, or they held something else before.
    Same,
    /// The new identity is to be served from now on.
    Serve(Box<Identity>),
    /// The old identity stays; the reason has not been reported yet.
    Refuse(Vec<Mistake>),
}

impl Renewal {
    /// Begins with the identity that is served since the start.
    pub fn new(paths: Paths, identity: Identity) -> Renewal {
        Renewal { paths, identity, seen: None, refused: None, reminded: None, mark: None }
    }

    /// Decides by `files`, the content at `now`, in seconds since 1970. Two looks in a row have to see the
    /// same content before anything is done, so that half-written files do no harm; one look is enough where
    /// it is `asked` for, since the operator knows that all is written.
    pub fn look(&mut self, files: Files, asked: bool, now: i64) -> Step {
        if files == Files::from(&self.identity.server) {
            self.seen = None;
            let is_news = self.refused.take().is_some() || asked;
            return if is_news { Step::Same } else { Step::Nothing };
        }
        if self.seen.as_ref() != Some(&files) {
            self.seen = Some(files.clone());
            if !asked {
                return Step::Nothing;
            }
        }
        // Checked each time, since a certificate may only have to wait for its time to come.
        let judged = self.paths.judge(&files);
        match judged.and_then(|identity| match self.paths.untimely(&identity, now) {
            Some(mistake) => Err(vec![mistake]),
            None => Ok(identity),
        }) {
            Ok(identity) => {
                self.identity = identity.clone();
                (self.seen, self.refused, self.reminded, self.mark) = (None, None, None, None);
                Step::Serve(Box::new(identity))
            }
            Err(mistakes) => {
                let refused = Some((files, mistakes.clone()));
                if refused == self.refused && !asked {
                    return Step::Nothing;
                }
                self.refused = refused;
                Step::Refuse(mistakes)
            }
        }
    }

    /// Returns what is wrong with the certificate that is served, or will be soon: when 30 days, 7 days and
    /// one day are left, and once a day when its renewal is overdue. At the start what holds then is told.
    pub fn remind(&mut self, now: i64) -> Option<Reminder> {
        let validity = self.identity.validity;
        let left = validity.not_after().saturating_sub(now);
        let reached = MARKS.into_iter().rev().find(|mark| left <= *mark && validity.lasts() >= 2 * mark);
        let is_new_mark = reached.is_some_and(|mark| self.mark.is_none_or(|told| mark < told));
        let is_due = !self.reminded.is_some_and(|last| (last..last + REMIND).contains(&now));
        let (is_overdue, what) = match validity.mistake(now) {
            Some(why) if is_due => (true, format!("clients refuse the certificate: {why}")),
            None if validity.is_short(now) && (is_due || is_new_mark) => {
                (true, format!("the certificate should have been renewed: {}", validity.tell(now)))
            }
            None if is_new_mark => {
                (false, format!("the certificate should be renewed soon: {}", validity.tell(now)))
            }
            _ => return None,
        };
        self.reminded = is_overdue.then_some(now);
        self.mark = reached;
        Some(Reminder { is_overdue, what })
    }

    /// Returns the identity that is served.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}
