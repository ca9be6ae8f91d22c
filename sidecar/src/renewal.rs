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

/// Seconds between two reminders of a certificate that ends soon.
const REMIND: i64 = 24 * 3600;

/// The identity that is served, and what else has been seen in its place.
pub struct Renewal {
    paths: Paths,
    identity: Identity,
    /// The files of the last look, where they differ from what is served.
    seen: Option<Files>,
    /// The files that were last refused, and the mistakes that were reported.
    refused: Option<(Files, Vec<Mistake>)>,
    reminded: Option<i64>,
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
        Renewal { paths, identity, seen: None, refused: None, reminded: None }
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
                (self.seen, self.refused, self.reminded) = (None, None, None);
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

    /// Returns what is wrong with the certificate that is served, or will be soon; at the start and once a
    /// day.
    pub fn remind(&mut self, now: i64) -> Option<String> {
        let validity = self.identity.validity;
        if self.reminded.is_some_and(|last| (last..last + REMIND).contains(&now)) {
            return None;
        }
        let what = match validity.mistake(now) {
            Some(why) => format!("clients refuse the certificate: {why}"),
            None if validity.is_short(now) => {
                format!("the certificate should have been renewed: {}", validity.tell(now))
            }
            None => return None,
        };
        self.reminded = Some(now);
        Some(what)
    }

    /// Returns the identity that is served.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}
