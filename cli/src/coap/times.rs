//! `--times`: the parameters of RFC 7252 section 4.8, by their names there.

use super::args::parse_seconds;
use lowband_client::Times;
use std::str::FromStr;

/// Most confirmable messages on their way at once.
const MOST_AT_ONCE: u16 = 64;

/// What `--times` sets.
#[derive(Clone, Debug)]
pub(crate) struct Tuning {
    pub(super) times: Times,
    /// NSTART; `None` for the default.
    pub(super) nstart: Option<u16>,
}

/// Parses `rfc7252,ACK_TIMEOUT=3`; each error begins with the part that is wrong.
pub(super) fn parse(text: &str) -> Result<Tuning, String> {
    let mut tuning = Tuning { times: Times::measured(), nstart: None };
    for (at, part) in text.split(',').enumerate() {
        match part.split_once('=') {
            Some((name, value)) => tuning.set(name, value),
            None if part.eq_ignore_ascii_case("rfc7252") && at == 0 => {
                tuning.times = Times::rfc7252();
                Ok(())
            }
            None if part.eq_ignore_ascii_case("rfc7252") => Err("stands before all others".into()),
            None => Err("NAME=VALUE is expected, or rfc7252".into()),
        }
        .map_err(|why| format!("{part:?}: {why}"))?;
    }
    Ok(tuning)
}

impl Tuning {
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let times = &mut self.times;
        match name.to_ascii_uppercase().as_str() {
            "ACK_TIMEOUT" => times.ack_timeout = parse_seconds(value)?,
            "ACK_RANDOM_FACTOR" => times.ack_random_factor = number(value)?,
            "MAX_RETRANSMIT" => times.max_retransmit = number(value)?,
            "PROBING_RATE" => times.probing_rate = number(value)?,
            "EXCHANGE_LIFETIME" => times.exchange_lifetime = parse_seconds(value)?,
            "NSTART" => match number(value)? {
                nstart @ 1..=MOST_AT_ONCE => self.nstart = Some(nstart),
                _ => return Err(format!("must be 1 to {MOST_AT_ONCE}")),
            },
            "DEFAULT_LEISURE" => return Err("is for multicast, which DTLS does not have".into()),
            "MAX_TRANSMIT_SPAN" | "MAX_TRANSMIT_WAIT" | "MAX_LATENCY" | "PROCESSING_DELAY" | "MAX_RTT"
            | "NON_LIFETIME" => return Err("follows from the others; -v tells it".into()),
            _ => {
                return Err(
                    "there are ACK_TIMEOUT, ACK_RANDOM_FACTOR, MAX_RETRANSMIT, NSTART, PROBING_RATE \
                            and EXCHANGE_LIFETIME"
                        .into(),
                );
            }
        }
        match self.times.mistakes().first() {
            Some(mistake) => Err(mistake.to_string()),
            None => Ok(()),
        }
    }
}

fn number<N: FromStr>(value: &str) -> Result<N, String> {
    value.parse().map_err(|_| "not a number that it can have".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_parameter_is_set_by_its_name() {
        let all = "ack_timeout=2.5,ACK_RANDOM_FACTOR=1.1,MAX_RETRANSMIT=3,NSTART=2,PROBING_RATE=9,EXCHANGE_LIFETIME=60";
        let Tuning { times, nstart } = parse(all).unwrap();
        assert_eq!(
            (times.ack_timeout, times.exchange_lifetime),
            (Duration::from_millis(2500), Duration::from_secs(60))
        );
        assert_eq!((times.ack_random_factor, times.max_retransmit, times.probing_rate), (1.1, 3, 9));
        assert_eq!((nstart, times.measured), (Some(2), true));
        let times = parse("rfc7252,MAX_RETRANSMIT=3").unwrap().times;
        assert_eq!((times.measured, times.backoff, times.max_retransmit), (false, 2.0, 3));
    }

    #[test]
    fn each_mistake_begins_with_its_part() {
        for (text, said) in [
            ("ACK_TIMEOUT=0", r#""ACK_TIMEOUT=0": must be more than 0 and at most a year"#),
            (
                "NSTART=1,ACK_RANDOM_FACTOR=0.5",
                r#""ACK_RANDOM_FACTOR=0.5": factor ack_random_factor is 0.5; it must be 1 to 10"#,
            ),
            ("ACK_RANDOM_FACTOR=NaN", r#""ACK_RANDOM_FACTOR=NaN": factor"#),
            ("MAX_RETRANSMIT=61", r#""MAX_RETRANSMIT=61": max_retransmit is 61; it must be 0 to 60"#),
            ("MAX_RETRANSMIT=-1", r#""MAX_RETRANSMIT=-1": not a number"#),
            ("PROBING_RATE=0", r#""PROBING_RATE=0": probing_rate is 0"#),
            ("NSTART=65", r#""NSTART=65": must be 1 to 64"#),
            ("NSTART=0", r#""NSTART=0": must be 1 to 64"#),
            ("DEFAULT_LEISURE=5", r#""DEFAULT_LEISURE=5": is for multicast"#),
            ("MAX_RTT=5", r#""MAX_RTT=5": follows from the others"#),
            ("ACK_TIME=5", r#""ACK_TIME=5": there are ACK_TIMEOUT,"#),
            ("NSTART=1,rfc7252", r#""rfc7252": stands before"#),
            ("", r#""": NAME=VALUE is expected"#),
            ("NSTART=1,", r#""": NAME=VALUE is expected"#),
        ] {
            let why = parse(text).unwrap_err();
            assert!(why.starts_with(said), "{text}: {why}");
        }
    }
}
