//! The thread that signs: costly steps of handshakes go there and come back, so that no session waits for
//! strangers.
//!
//! A few jobs are on their way at a time; the others wait in the transport, where the jobs of nearly finished
//! handshakes go first and jobs that are not needed any more are dropped (`--waiting-hellos`).

use lowband_transport::dtls::{Done, Job};
use std::io;
use std::thread::{Builder, JoinHandle};
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Jobs on their way to the thread, and as many results on the way back: enough to keep it busy.
const ON_THE_WAY: usize = 4;

/// The handle of the thread. Dropping it ends the thread and waits until it has ended.
#[derive(Debug)]
pub struct Worker {
    jobs: Option<Sender<Job>>,
    results: Receiver<Done>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread of the worker.
    pub fn start() -> io::Result<Worker> {
        let (jobs, mut asked) = mpsc::channel::<Job>(ON_THE_WAY);
        let (answer, results) = mpsc::channel(ON_THE_WAY);
        let work = move || {
            while let Some(job) = asked.blocking_recv() {
                if answer.blocking_send(job.run()).is_err() {
                    return;
                }
            }
        };
        let thread = Builder::new().name("handshakes".to_owned()).spawn(work)?;
        Ok(Worker { jobs: Some(jobs), results, thread: Some(thread) })
    }

    /// Hands over the jobs there are, as long as there is room for them.
    pub fn feed(&mut self, mut next: impl FnMut() -> Option<Job>) {
        let Some(jobs) = &self.jobs else { return };
        while let Ok(room) = jobs.try_reserve() {
            let Some(job) = next() else { return };
            room.send(job);
        }
    }

    /// Waits for the next result. An error means the end of the thread, which only a panic causes.
    pub async fn result(&mut self) -> io::Result<Done> {
        self.results.recv().await.ok_or_else(|| io::Error::other("the thread for handshakes has ended"))
    }

    /// Returns a result that is there already.
    pub fn try_result(&mut self) -> Option<Done> {
        self.results.try_recv().ok()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        self.results.close();
        if let Some(thread) = self.thread.take() {
            // The panic hook has reported a panic.
            let _ = thread.join();
        }
    }
}
