//! Variables of the environment that no option of a program has: most likely misspelled.

use std::collections::BTreeSet;

/// Changes of one letter between a name and the one that was meant, at most.
const FARTHEST: usize = 3;

/// Returns a line about a variable that does nothing, with the name of `known` that is nearest. `None` for
/// one that is known, and for one that Kubernetes sets for a service.
pub fn misspelled(name: &str, value: &str, known: &BTreeSet<String>) -> Option<String> {
    if known.contains(name) || is_of_kubernetes(name, value) {
        return None;
    }
    let perhaps = match nearest(name, known) {
        Some(meant) => format!("; {meant} is meant, perhaps"),
        None => String::new(),
    };
    Some(format!("{name} does nothing: no option has this name{perhaps}"))
}

/// Returns whether Kubernetes sets this variable for a service whose name begins with `lowband`
/// (`LOWBAND_SERVICE_HOST`, `LOWBAND_SERVICE_PORT_DTLS`, `LOWBAND_PORT=udp://10.0.0.1:8008`,
/// `LOWBAND_PORT_8008_UDP_ADDR`).
fn is_of_kubernetes(name: &str, value: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let is_url = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let of_a_port = |rest: &str| {
        let mut words = rest.split('_');
        words.next().is_some_and(is_number) && matches!(words.next(), Some("TCP" | "UDP" | "SCTP"))
    };
    name.ends_with("_SERVICE_HOST")
        || (name.contains("_SERVICE_PORT") && is_number(value))
        || (name.ends_with("_PORT") && is_url)
        || name.match_indices("_PORT_").any(|(at, word)| name.get(at + word.len()..).is_some_and(of_a_port))
}

fn nearest<'k>(name: &str, known: &'k BTreeSet<String>) -> Option<&'k String> {
    let far = known.iter().map(|known| (distance(name, known), known));
    far.filter(|(distance, _)| *distance <= FARTHEST)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Returns how many letters have to be added, removed or replaced to make one text of the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (number, letter) in one.bytes().enumerate() {
        let mut diagonal = number;
        let mut left = number + 1;
        let mut next = vec![left];
        for (above, theirs) in row.iter().skip(1).zip(other.bytes()) {
            left = (diagonal + usize::from(letter != theirs)).min(above + 1).min(left + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_option_has_is_told_with_the_nearest_name_unless_kubernetes_sets_it() {
        let known = BTreeSet::from(["LOWBAND_PROXY_LISTEN".to_owned()]);
        let told = |name, value| misspelled(name, value, &known);
        assert_eq!(told("LOWBAND_PROXY_LISTEN", "x"), None);
        assert_eq!(
            told("LOWBAND_PROXY_LISTN", "x").as_deref(),
            Some(
                "LOWBAND_PROXY_LISTN does nothing: no option has this name; LOWBAND_PROXY_LISTEN is meant, perhaps"
            )
        );
        let far = told("LOWBAND_PROXY_WHATEVER", "x");
        assert_eq!(far.as_deref(), Some("LOWBAND_PROXY_WHATEVER does nothing: no option has this name"));
        for (name, value) in [
            ("LOWBAND_PROXY_SERVICE_HOST", "10.96.0.7"),
            ("LOWBAND_PROXY_SERVICE_PORT", "8009"),
            ("LOWBAND_PROXY_PORT", "tcp://10.96.0.7:8009"),
            ("LOWBAND_PROXY_PORT_8009_TCP_ADDR", "10.96.0.7"),
        ] {
            assert_eq!(told(name, value), None, "{name}");
        }
        assert!(told("LOWBAND_PROXY_PORT", "8009").is_some());
    }

    #[test]
    fn the_distance_is_the_number_of_letters_that_differ() {
        for (one, other, letters) in
            [("", "", 0), ("a", "", 1), ("", "ab", 2), ("kitten", "sitting", 3), ("ab", "ba", 2)]
        {
            assert_eq!(distance(one, other), letters, "{one} {other}");
        }
    }
}
