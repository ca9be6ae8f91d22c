//! All addresses of a host, one after the other, within one time limit.

use super::Job;
use super::verbose::Verbose;
use crate::exit::{Exit, Failure};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const MAX_TIME_IS_OVER: &str = "the time of --max-time is over";

/// Why one address failed.
pub(crate) enum NotThis {
    /// Another address may work.
    Next(Failure),
    /// Another address would fail too: the server was reached and refused, or cannot be believed.
    Never(Failure),
}

/// Calls `connect` with each address of the host and its share of the time, until one call succeeds. A silent
/// address leaves the others their share.
pub(crate) async fn each_address<C>(
    job: &Job,
    connect: impl AsyncFn(SocketAddr, Duration) -> Result<C, NotThis>,
) -> Result<C, Failure> {
    let own = Instant::now() + job.connect_timeout;
    let deadline = job.deadline.into_iter().fold(own, Instant::min);
    let connecting = async { try_each(&resolve(job, deadline).await?, deadline, job.verbose, connect).await };
    connecting.await.map_err(|failure| if deadline < own { by_max_time(failure) } else { failure })
}

/// Says of a time that is over that it was `--max-time`, and not the time for a connection.
fn by_max_time(failure: Failure) -> Failure {
    match failure.exit {
        Exit::Timeout => Failure::new(failure.exit, format!("{MAX_TIME_IS_OVER}: {failure}")),
        _ => failure,
    }
}

async fn try_each<C>(
    addresses: &[SocketAddr],
    deadline: Instant,
    verbose: Verbose,
    connect: impl AsyncFn(SocketAddr, Duration) -> Result<C, NotThis>,
) -> Result<C, Failure> {
    let mut failures: Vec<Failure> = Vec::new();
    for (tried, address) in addresses.iter().enumerate() {
        let addresses_left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let time_left = deadline.saturating_duration_since(Instant::now());
        verbose.note(format_args!("trying {address}"));
        match connect(*address, time_left / addresses_left).await {
            Ok(connection) => return Ok(connection),
            Err(NotThis::Never(failure)) => return Err(failure),
            Err(NotThis::Next(failure)) => {
                verbose.note(&failure);
                failures.push(failure);
            }
        }
    }
    let exit = failures.last().map_or(Exit::Resolve, |failure| failure.exit);
    let all: Vec<String> = failures.iter().map(ToString::to_string).collect();
    Err(Failure::new(exit, all.join("; ")))
}

/// Returns the addresses of the host that may be dialled.
async fn resolve(job: &Job, deadline: Instant) -> Result<Vec<SocketAddr>, Failure> {
    job.addresses.of(&job.destination.host, look_up(job, deadline).await?)
}

/// Returns all addresses of the host, whatever family is wanted.
pub(crate) async fn look_up(job: &Job, deadline: Instant) -> Result<Vec<SocketAddr>, Failure> {
    let host = &job.destination.host;
    if let Some(fixed) = job.addresses.fixed(host, job.destination.port) {
        return Ok(fixed);
    }
    let lookup = tokio::net::lookup_host((host.as_str(), job.destination.port));
    match tokio::time::timeout_at(deadline.into(), lookup).await {
        Ok(Ok(addresses)) => Ok(addresses.collect()),
        Ok(Err(error)) => Err(Failure::new(Exit::Resolve, format!("cannot resolve {host}: {error}"))),
        Err(_elapsed) => Err(Failure::new(Exit::Timeout, format!("{host} was not resolved in time"))),
    }
}

/// Waits for `work`, but no longer than `--max-time` allows.
pub(crate) async fn in_time<T>(
    job_deadline: Option<Instant>,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    match job_deadline {
        None => Ok(work.await),
        Some(deadline) => tokio::time::timeout_at(deadline.into(), work)
            .await
            .map_err(|_elapsed| Failure::new(Exit::Timeout, MAX_TIME_IS_OVER)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    const MINUTE: Duration = Duration::from_secs(60);

    fn addresses() -> Vec<SocketAddr> {
        ["[::1]:1", "127.0.0.1:1", "127.0.0.2:1"].map(|address| address.parse().unwrap()).to_vec()
    }

    fn refused(address: SocketAddr) -> Failure {
        Failure::new(Exit::Connect, format!("{address} refused"))
    }

    async fn try_all<C>(
        connect: impl AsyncFn(SocketAddr, Duration) -> Result<C, NotThis>,
    ) -> Result<C, Failure> {
        try_each(&addresses(), Instant::now() + MINUTE, Verbose::new(0), connect).await
    }

    #[tokio::test]
    async fn addresses_are_tried_in_turn_until_one_answers() {
        let tried = RefCell::new(Vec::new());
        let answer = try_all(async |address, _| {
            tried.borrow_mut().push(address);
            if address.is_ipv6() { Err(NotThis::Next(refused(address))) } else { Ok(address) }
        });
        assert_eq!(answer.await.unwrap(), addresses()[1]);
        assert_eq!(tried.into_inner(), addresses()[..2]);
    }

    #[tokio::test]
    async fn a_silent_address_leaves_the_others_their_share_of_the_time() {
        let shares = RefCell::new(Vec::new());
        let answer = try_all(async |address, share| {
            shares.borrow_mut().push(share);
            Err::<(), _>(NotThis::Next(refused(address)))
        });
        let failure = answer.await.unwrap_err();
        assert_eq!(failure.to_string(), "[::1]:1 refused; 127.0.0.1:1 refused; 127.0.0.2:1 refused");
        assert_eq!(failure.exit, Exit::Connect);
        for (share, most) in shares.into_inner().into_iter().zip([MINUTE / 3, MINUTE / 2, MINUTE]) {
            assert!(share <= most && share > most / 2, "{share:?} of at most {most:?}");
        }
    }

    #[tokio::test]
    async fn a_server_that_cannot_be_believed_ends_the_search() {
        let answer = try_all(async |address, _| Err::<(), _>(NotThis::Never(refused(address))));
        assert_eq!(answer.await.unwrap_err().to_string(), "[::1]:1 refused");
    }
}
