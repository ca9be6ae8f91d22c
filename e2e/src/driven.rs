//! A foreign client or server in a process of its own that is driven by lines of JSON: an order goes in,
//! its answer comes out.

use crate::error::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Time that the clients give themselves for an answer, unless they are told another.
const ANSWER_WITHIN: Duration = Duration::from_secs(90);
/// Time beyond that for a handshake.
const MORE: Duration = Duration::from_secs(10);
/// Time for the end: more than the clients give themselves for their goodbye.
const END_WITHIN: Duration = Duration::from_secs(10);

/// A running program. If it is dropped without [`Driven::end`], it is killed.
#[derive(Debug)]
pub(crate) struct Driven {
    name: &'static str,
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    within: Duration,
}

impl Driven {
    /// Starts the program; `name` is for messages.
    pub(crate) fn start(name: &'static str, command: Command) -> Result<Driven> {
        Driven::patient(name, command, ANSWER_WITHIN)
    }

    /// Starts the program, which gives itself this long for an answer if it is one of those that can be told;
    /// `name` is for messages.
    pub(crate) fn patient(name: &'static str, mut command: Command, within: Duration) -> Result<Driven> {
        command.env("LOWBAND_ANSWER_WITHIN", within.as_secs().to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(Error::io(format!("start {name}")))?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::Setup(format!("{name} has no pipes")));
        };
        Ok(Driven { name, child, orders, answers: BufReader::new(answers).lines(), within: within + MORE })
    }

    /// Returns the process id while the program runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Writes a line that the program does not answer.
    pub(crate) async fn tell(&mut self, line: &impl Serialize) -> Result<()> {
        let line = format!("{}\n", json!(line));
        self.orders
            .write_all(line.as_bytes())
            .await
            .map_err(Error::io(format!("tell {} what to do", self.name)))
    }

    /// Writes a line and returns its answer; `what` is for messages.
    pub(crate) async fn order<T: DeserializeOwned>(
        &mut self,
        what: &str,
        order: &impl Serialize,
    ) -> Result<T> {
        self.tell(order).await?;
        self.hear(what).await
    }

    /// Returns the next line that the program writes; `what` is for messages.
    pub(crate) async fn hear<T: DeserializeOwned>(&mut self, what: &str) -> Result<T> {
        let what = format!("{}, {what}", self.name);
        let no_answer = |why: String| Error::NoAnswer { what: what.clone(), why };
        let answer = tokio::time::timeout(self.within, self.answers.next_line()).await;
        let answer = answer.map_err(|_| no_answer(format!("silent for {:?}", self.within)))?;
        let answer = answer.map_err(|why| no_answer(why.to_string()))?;
        let answer =
            answer.ok_or_else(|| no_answer("it has ended; it says why on standard error".to_owned()))?;
        serde_json::from_str(&answer).map_err(|why| no_answer(why.to_string()))
    }

    /// Ends the program's input; the program must exit by itself, with status 0.
    pub(crate) async fn end(self) -> Result<()> {
        let Driven { name, mut child, orders, answers, .. } = self;
        drop((orders, answers));
        let what = format!("the end of {name}");
        let late = Error::NoAnswer { what: what.clone(), why: "none".to_owned() };
        let status = tokio::time::timeout(END_WITHIN, child.wait()).await.map_err(|_| late)?;
        let status = status.map_err(Error::io(format!("wait for {name}")))?;
        if status.success() {
            return Ok(());
        }
        Err(Error::Wrong { what, expected: "status 0".to_owned(), got: status.to_string() })
    }
}
