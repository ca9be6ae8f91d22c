//! What was looked at and what was found: one line for a person, one object for a program.

use crate::exit::{Exit, Failure};
use crate::output::Sink;
use lowband_capture::report::controls_terminal;
use lowband_capture::report::text::Colours;
use serde_json::{Map, Value, json};

/// What came of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Ok,
    /// It works, and somebody should look at it.
    Warn,
    /// Nothing could be seen, for a reason that is no fault.
    Unseen,
    Failed(Exit),
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Unseen => "not seen",
            State::Failed(_) => "failed",
        }
    }

    /// Returns the sequence that makes a terminal write in the colour of the state (ECMA-48, SGR).
    fn colour(self) -> &'static str {
        match self {
            State::Ok => "\x1b[32m",
            State::Warn => "\x1b[33m",
            State::Unseen => "\x1b[2m",
            State::Failed(_) => "\x1b[31m",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    name: &'static str,
    state: State,
    text: String,
    cure: Option<String>,
    facts: Map<String, Value>,
}

impl Check {
    fn new(name: &'static str, state: State, text: impl Into<String>) -> Check {
        Check { name, state, text: without_controls(&text.into()), cure: None, facts: Map::new() }
    }

    pub(crate) fn ok(name: &'static str, text: impl Into<String>) -> Check {
        Check::new(name, State::Ok, text)
    }

    pub(crate) fn warn(name: &'static str, text: impl Into<String>) -> Check {
        Check::new(name, State::Warn, text)
    }

    pub(crate) fn unseen(name: &'static str, text: impl Into<String>) -> Check {
        Check::new(name, State::Unseen, text)
    }

    pub(crate) fn failed(name: &'static str, failure: &Failure) -> Check {
        Check::new(name, State::Failed(failure.exit), failure.to_string())
    }

    /// Adds what helps.
    pub(crate) fn cure(mut self, cure: impl Into<String>) -> Check {
        self.cure = Some(without_controls(&cure.into()));
        self
    }

    /// Adds a value for programs.
    pub(crate) fn fact(mut self, name: &str, value: impl Into<Value>) -> Check {
        self.facts.insert(name.to_owned(), value.into());
        self
    }

    fn line(&self, colours: Colours) -> String {
        let (colour, end) = match colours {
            Colours::Coloured => (self.state.colour(), "\x1b[m"),
            Colours::Plain => ("", ""),
        };
        let cure = self.cure.as_ref().map(|cure| format!(". {cure}")).unwrap_or_default();
        format!("{colour}{:<8}{end}  {:<11}  {}{cure}\n", self.state.word(), self.name, self.text)
    }

    fn object(&self) -> Value {
        json!({
            "check": self.name,
            "state": self.state.word(),
            "text": self.text,
            "cure": self.cure,
            "facts": self.facts,
        })
    }
}

/// Replaces what servers say and terminals would obey.
fn without_controls(text: &str) -> String {
    text.replace(controls_terminal, "\u{fffd}")
}

/// All checks so far. For a person each is written at once: some take their time.
pub(crate) struct Report {
    checks: Vec<Check>,
    /// Colours of the lines; `None` for one object of JSON at the end.
    lines: Option<Colours>,
}

impl Report {
    pub(crate) fn new(lines: Option<Colours>) -> Report {
        Report { checks: Vec::new(), lines }
    }

    /// Adds a check. Fails if its line cannot be written.
    pub(crate) fn add(&mut self, check: Check) -> Result<(), Failure> {
        if let Some(colours) = self.lines {
            Sink::Stdout.write(check.line(colours).as_bytes())?;
        }
        self.checks.push(check);
        Ok(())
    }

    /// Ends the report. The failure is that of the first check that failed.
    pub(crate) fn end(self, authority: &str) -> Result<(), Failure> {
        let exit = self.exit();
        if self.lines.is_none() {
            let checks: Vec<Value> = self.checks.iter().map(Check::object).collect();
            let all = json!({
                "url": format!("coaps://{authority}"), "ok": exit == Exit::Success, "status": exit.status(), "checks": checks,
            });
            Sink::Stdout.write(format!("{all}\n").as_bytes())?;
        }
        match exit {
            Exit::Success => Ok(()),
            exit => Err(Failure::silent(exit)),
        }
    }

    fn exit(&self) -> Exit {
        let failed = self.checks.iter().find_map(|check| match check.state {
            State::Failed(exit) => Some(exit),
            _ => None,
        });
        failed.unwrap_or(Exit::Success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_state_name_text_and_cure_and_only_the_state_is_coloured() {
        let check = Check::warn("udp", "a\u{1b}[31m").cure("Do b");
        assert_eq!(check.line(Colours::Plain), "warn      udp          a\u{fffd}[31m. Do b\n");
        let coloured = check.line(Colours::Coloured);
        assert_eq!(coloured, "\u{1b}[33mwarn    \u{1b}[m  udp          a\u{fffd}[31m. Do b\n");
    }

    #[test]
    fn the_status_is_that_of_the_first_failure_and_warnings_have_none() {
        let mut report = Report::new(None);
        report.add(Check::ok("a", "")).unwrap();
        report.add(Check::warn("b", "")).unwrap();
        report.add(Check::unseen("c", "")).unwrap();
        assert_eq!(report.exit(), Exit::Success);
        report.add(Check::failed("d", &Failure::new(Exit::Timeout, "x"))).unwrap();
        report.add(Check::failed("e", &Failure::new(Exit::Connect, "y"))).unwrap();
        assert_eq!(report.exit(), Exit::Timeout);
    }
}
