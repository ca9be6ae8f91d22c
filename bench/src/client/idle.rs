//! What the local proxy costs while nothing happens: without a client, and with ten accounts, each of which
//! has a DTLS session.

use crate::figures::{Figures, Row};
use crate::local_proxy;
use lowband_bench::usage::{resident, running_time};
use lowband_e2e::call::Call;
use lowband_e2e::fixture::Fixture;
use lowband_e2e::matrix::{self, User};
use lowband_e2e::synapse::RateLimits;
use lowband_e2e::tell::say;
use lowband_e2e::wire::Wire;
use lowband_e2e::{Error, Result};
use std::time::Duration;

const ACCOUNTS: usize = 10;

/// Measures a proxy before a chain of its own.
pub(crate) fn measure(quick: bool, figures: &mut Figures) -> Result<()> {
    let idle = Duration::from_secs(if quick { 2 } else { 60 });
    say(format_args!("the local proxy without clients, and with {ACCOUNTS} accounts for {idle:?}"));
    let fixture = Fixture::start("client-idle", RateLimits::Lifted, &[])?;
    let proxy = local_proxy(&fixture.parts, &fixture)?;
    fixture.run(proxy.ready())?;
    let id = proxy.process.id().ok_or_else(|| Error::Setup("the proxy has no process id".to_owned()))?;
    let megabytes = || resident(id).map(|kilobytes| kilobytes * 1024.0 / 1e6);
    figures.add(
        Row::new("idle_memory", "the local proxy: memory, no client yet", "MB", 1).at_most(12.0),
        megabytes()?,
    );

    let mut clients = Vec::new();
    fixture.run(async {
        for number in 0..ACCOUNTS {
            let mut client = Wire::http(proxy.address()).await?;
            let user = matrix::sign_in(&mut client, &User::new(&format!("idle-{number}"))).await?;
            matrix::sync(&mut client, &user, "timeout=0").await?;
            client.call(Call::get("/_matrix/client/v3/account/whoami").by(&user.token)).await?.ok()?;
            clients.push(client);
        }
        Ok::<_, Error>(())
    })?;
    let row = Row::new("accounts_memory", format!("  with {ACCOUNTS} accounts"), "MB", 1).at_most(15.0);
    figures.add(row, megabytes()?);

    let begin = running_time(id)?;
    fixture.run(async { tokio::time::sleep(idle).await });
    let spent = (running_time(id)? - begin).as_secs_f64() * 1e3 / idle.as_secs_f64() * 60.0;
    // Ten sessions are kept by a ping each, twice a minute.
    figures.add(Row::new("idle_cpu", "  CPU while they are idle, a minute", "ms", 1).at_most(50.0), spent);
    Ok(())
}
