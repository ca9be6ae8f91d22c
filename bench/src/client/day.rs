//! Bytes of a day of matrix-nio through the local proxy, beside the same day over HTTPS as the library comes.
//!
//! Each way has a chain and a homeserver of its own. Relays count what passes between proxy and chain, over
//! UDP and over TCP, and between the library and Envoy. Media go over HTTPS either way.

use crate::figures::{Figures, Row};
use lowband_e2e::Result;
use lowband_e2e::days::{self, Library, Server};
use lowband_e2e::fixture::Fixture;
use lowband_e2e::local_proxy::LocalProxy;
use lowband_e2e::relay::Relay;
use lowband_e2e::synapse::RateLimits;
use lowband_e2e::tcp_relay::TcpRelay;
use lowband_e2e::tell::say;
use serde_json::Value;

/// Steps without a bound: most of their bytes look random, or go over HTTPS either way.
const WITHOUT_BOUND: [&str; 3] = ["first sync", "key upload", "media"];

/// What had passed when a step began, in bytes.
struct Mark {
    step: String,
    udp: u64,
    tcp: u64,
}

/// One day, with its chain.
struct Way {
    fixture: Fixture,
    tcp: TcpRelay,
    udp: Relay,
}

impl Way {
    fn start(name: &str) -> Result<Way> {
        let fixture = Fixture::start(name, RateLimits::Lifted, &[])?;
        let address = fixture.chain.address();
        let (tcp, udp) =
            fixture.run(async { tokio::try_join!(TcpRelay::start(address), Relay::start(address)) })?;
        Ok(Way { fixture, tcp, udp })
    }

    /// Lives the day; what has passed before belongs to the step before the first one.
    async fn live(&self, server: &Server) -> Result<(Vec<Mark>, Vec<Value>)> {
        let mut marks = vec![Mark { step: "before the first request".to_owned(), udp: 0, tcp: 0 }];
        let begin = async |step: &str| {
            let (udp, tcp) = (self.udp.traffic().await?, self.tcp.traffic()?);
            let [udp, tcp] = [udp, tcp].map(|traffic| traffic.payload + traffic.headers);
            marks.push(Mark { step: step.to_owned(), udp, tcp });
            Ok(())
        };
        let notes =
            days::live(&self.fixture.parts, Library::Nio, server, self.fixture.chain.folder(), begin).await?;
        Ok((marks, notes))
    }
}

/// Lives both days.
pub(crate) fn measure(figures: &mut Figures) -> Result<()> {
    say("a day of matrix-nio over HTTPS");
    let direct = Way::start("client-day-https")?;
    let url = format!("https://localhost:{}", direct.tcp.address().port());
    let ca = Some(direct.fixture.chain.certificate.certificate.clone());
    let (beside, notes) = direct.fixture.run(direct.live(&Server { url, ca, ..Server::default() }))?;
    drop(direct);

    say("and through the local proxy");
    let way = Way::start("client-day")?;
    let (folder, certificate) = (way.fixture.chain.folder(), &way.fixture.chain.certificate.certificate);
    let udp = format!("localhost:{}", way.udp.address().port());
    let proxy =
        LocalProxy::start(&way.fixture.parts, folder, way.tcp.address(), certificate, &["--udp", &udp])?;
    let (marks, _) = way.fixture.run(async {
        proxy.ready().await?;
        way.live(&Server { url: proxy.url(), ..Server::default() }).await
    })?;

    tell(&marks, &beside, figures);
    let answers = notes.iter().filter(|note| note.get("asked").is_some());
    let gzipped = answers.clone().filter(|note| note.get("gzip") == Some(&Value::Bool(true)));
    let note = format!("of {} answers over HTTPS", answers.count());
    figures.add(Row::new("day_gzipped", "  gzipped", "", 0).note(note), gzipped.count() as f64);
    Ok(())
}

/// Adds a row for each step, and one for the whole day.
fn tell(marks: &[Mark], beside: &[Mark], figures: &mut Figures) {
    let spent = |marks: &[Mark]| {
        let steps = marks.iter().zip(marks.iter().skip(1));
        steps
            .map(|(begin, end)| (begin.step.clone(), end.udp - begin.udp, end.tcp - begin.tcp))
            .collect::<Vec<_>>()
    };
    let [mut all, mut all_beside] = [0, 0];
    for ((step, udp, tcp), (_, _, over_https)) in spent(marks).into_iter().zip(spent(beside)) {
        all += udp + tcp;
        all_beside += over_https;
        let title = format!("nio's day, bytes over those of HTTPS: {step}");
        let row = Row::new(format!("day_{}", step.replace(' ', "_")), title, "", 2);
        let has_bound = over_https > 0 && !WITHOUT_BOUND.contains(&step.as_str());
        let row = if has_bound { row.at_most(1.0 / 3.0) } else { row };
        let note = format!("{udp} B of UDP and {tcp} B of TCP, {over_https} B over HTTPS");
        figures.add(row.note(note), (udp + tcp) as f64 / over_https.max(1) as f64);
    }
    let note = format!("{all} B, {all_beside} B over HTTPS");
    let whole = Row::new("day_whole", "the whole day", "", 2).at_most(2.0 / 3.0).note(note);
    figures.add(whole, all as f64 / all_beside.max(1) as f64);
}
