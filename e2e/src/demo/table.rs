//! The demo's last words before it waits: what each step cost on either wire.

use crate::story::Cost;
use crate::tcp::Traffic;

/// Explains the columns of the table; printed below it.
pub(super) const NOTE: &str = "\
Both directions together. \"payload\" is what UDP and TCP carry: DTLS or TLS records, their handshakes included. \"on the wire\"
adds IPv4 and UDP headers, 28 bytes a datagram, or IPv4 and TCP headers with timestamps, 52 bytes a segment (SYN: 60). Segments
count bare acknowledgements, as the kernel does, at an MTU of 1,500. The HTTPS client is a lean one: one kept-alive connection a
user, four short headers; browsers send more. Closing a connection is not counted.";

/// Writes the two sides beside each other. They have the same steps.
pub(super) fn render(coap: &[Cost], https: &[Cost]) -> String {
    let mut rows = vec![format!(
        "{:<26}|{:>10}{:>10}{:>13}  |{:>10}{:>10}{:>13}  |{:>7}\n{:<26}|{:>33}  |{:>33}  |{:>7}",
        "",
        "CoAP:",
        "",
        "",
        "HTTPS:",
        "",
        "",
        "wire",
        "step",
        "datagrams   payload  on the wire",
        "segments   payload  on the wire",
        "ratio"
    )];
    rows.push("-".repeat(26 + 2 * 36 + 8));
    let mut sums = (Traffic::default(), Traffic::default());
    for (coap, https) in coap.iter().zip(https) {
        rows.push(row(coap.step, coap.traffic, https.traffic));
        sums = (sums.0 + coap.traffic, sums.1 + https.traffic);
    }
    rows.push(row("all", sums.0, sums.1));
    rows.join("\n")
}

fn row(step: &str, coap: Traffic, https: Traffic) -> String {
    let ratio = match wire(https) {
        0 => String::new(),
        whole => format!("{} %", (100 * wire(coap) + whole / 2) / whole),
    };
    format!("{step:<26}|{}  |{}  |{ratio:>7}", columns(coap), columns(https))
}

fn columns(traffic: Traffic) -> String {
    format!("{:>10}{:>10}{:>13}", traffic.packets, grouped(traffic.payload), grouped(wire(traffic)))
}

fn wire(traffic: Traffic) -> u64 {
    traffic.payload + traffic.headers
}

/// Writes `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let (thousands, rest) = (number / 1_000, number % 1_000);
    if thousands == 0 { rest.to_string() } else { format!("{},{rest:03}", grouped(thousands)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_packets_payload_wire_bytes_and_the_ratio() {
        let coap = Cost { step: "send", traffic: Traffic { packets: 2, payload: 244, headers: 56 } };
        let https = Cost { step: "send", traffic: Traffic { packets: 4, payload: 792, headers: 208 } };
        let table = render(&[coap], &[https]);
        let row = table.lines().find(|line| line.starts_with("send")).unwrap();
        let words: Vec<&str> = row.split_ascii_whitespace().collect();
        assert_eq!(words, ["send", "|", "2", "244", "300", "|", "4", "792", "1,000", "|", "30", "%"]);
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_002_003].map(grouped), ["0", "999", "1,000", "1,002,003"]);
    }
}
