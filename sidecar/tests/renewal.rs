//! What is done with another certificate: the files are checked one look after the other, at times that the
//! test names.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests and their helpers fail by panicking"
)]

use identity::{DAY, Pair};
use lowband_sidecar::config::{Files, Mistake, Paths};
use lowband_sidecar::renewal::{Reminder, Renewal, Step};
use lowband_transport::dtls::ServerIdentity;

#[path = "chain/identity.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod identity;

/// Nov 29 2026, in seconds since 1970.
const NOW: i64 = 1_795_910_400;

fn paths() -> Paths {
    Paths { certificate: "/nonexistent/tls.crt".into(), key: "/nonexistent/tls.key".into() }
}

fn files(pair: &Pair) -> Files {
    Files::from(&ServerIdentity {
        certificate_chain: pair.certificate.clone(),
        private_key: pair.key.clone().into(),
    })
}

fn renewal(served: &Pair) -> Renewal {
    let paths = paths();
    let identity = paths.judge(&files(served)).unwrap();
    Renewal::new(paths, identity)
}

fn days(count: i64) -> Pair {
    Pair::valid(NOW - DAY, NOW + count * DAY)
}

/// Returns a certificate with another certificate's key.
fn misfit() -> Pair {
    Pair { key: days(9).key, ..days(9) }
}

fn is_nothing(step: &Step) -> bool {
    matches!(step, Step::Nothing)
}

fn refused(step: Step) -> Vec<Mistake> {
    let Step::Refuse(mistakes) = step else { panic!("{step:?}") };
    mistakes
}

#[test]
fn another_pair_is_served_when_two_looks_have_seen_it() {
    let (old, new) = (days(10), days(90));
    let mut renewal = renewal(&old);
    assert!(is_nothing(&renewal.look(files(&old), false, NOW)));
    assert!(is_nothing(&renewal.look(files(&new), false, NOW)));
    let Step::Serve(identity) = renewal.look(files(&new), false, NOW) else { panic!() };
    assert_eq!(identity.server.certificate_chain, new.certificate);
    assert_eq!(identity.validity.not_after(), NOW + 90 * DAY);
    assert!(is_nothing(&renewal.look(files(&new), false, NOW)));
}

#[test]
fn a_pair_that_is_half_written_at_each_look_is_nothing_until_it_is_whole() {
    let (old, new) = (days(10), days(90));
    let mut renewal = renewal(&old);
    let half = |part: usize| Pair { certificate: new.certificate[..part].to_vec(), ..old.clone() };
    let whole = Pair { key: old.key.clone(), ..new.clone() };
    for seen in [&half(0), &half(30), &half(100), &whole, &new] {
        assert!(is_nothing(&renewal.look(files(seen), false, NOW)));
    }
    assert!(matches!(renewal.look(files(&new), false, NOW), Step::Serve(_)));
}

#[test]
fn what_does_not_fit_is_told_once_and_the_way_back_as_well() {
    let old = days(10);
    let mut renewal = renewal(&old);
    let wrong = [misfit(), misfit()];
    for wrong in &wrong {
        assert!(is_nothing(&renewal.look(files(wrong), false, NOW)));
        let [mistake] = &refused(renewal.look(files(wrong), false, NOW))[..] else { panic!() };
        assert_eq!(
            mistake.to_string(),
            r#"--key "/nonexistent/tls.key": it and the certificate "/nonexistent/tls.crt" do not belong together"#
        );
        assert!(is_nothing(&renewal.look(files(wrong), false, NOW)));
    }
    assert!(matches!(renewal.look(files(&old), false, NOW), Step::Same));
    assert!(is_nothing(&renewal.look(files(&old), false, NOW)));
    assert_eq!(renewal.identity().server.certificate_chain, old.certificate);
}

#[test]
fn files_that_cannot_be_read_are_told_like_any_mistake() {
    let mut renewal = renewal(&days(10));
    assert!(is_nothing(&renewal.look(paths().read(), false, NOW)));
    let mistakes = refused(renewal.look(paths().read(), false, NOW));
    assert_eq!(mistakes.iter().map(|mistake| mistake.option).collect::<Vec<_>>(), ["--certificate", "--key"]);
    assert!(mistakes[0].why.contains("cannot be read: No such file"), "{mistakes:?}");
}

#[test]
fn what_could_keep_its_reader_for_ever_or_has_no_end_is_not_read() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("what_has_no_end");
    let _not_there = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let (pipe, large) = (folder.join("pipe"), folder.join("large"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::fs::File::create(&large).unwrap().set_len((1 << 20) + 1).unwrap();
    for (path, why) in [
        (pipe, "not a regular file"),
        ("/dev/zero".into(), "not a regular file"),
        (large, "more than 1048576 bytes"),
    ] {
        let paths = Paths { certificate: path, key: "/nonexistent/tls.key".into() };
        let mistakes = paths.judge(&paths.read()).unwrap_err();
        assert!(mistakes[0].why.ends_with(&format!("cannot be read: {why}")), "{mistakes:?}");
    }
}

#[test]
fn who_asks_is_answered_at_the_first_look_and_each_time() {
    let (old, new, wrong) = (days(10), days(90), misfit());
    let mut renewal = renewal(&old);
    assert!(matches!(renewal.look(files(&old), true, NOW), Step::Same));
    for _ in 0..2 {
        refused(renewal.look(files(&wrong), true, NOW));
    }
    assert!(is_nothing(&renewal.look(files(&wrong), false, NOW)));
    assert!(matches!(renewal.look(files(&new), true, NOW), Step::Serve(_)));
    assert!(matches!(renewal.look(files(&new), true, NOW), Step::Same));
}

#[test]
fn a_certificate_whose_time_is_over_is_not_taken_and_one_whose_time_comes_is_when_it_has_come() {
    let mut renewal = renewal(&days(10));
    let (over, early) = (days(-1), Pair::valid(NOW + 60, NOW + DAY));
    renewal.look(files(&over), false, NOW);
    let mistakes = refused(renewal.look(files(&over), false, NOW));
    assert!(mistakes[0].why.ends_with("it has expired on Nov 28 00:00:00 2026 GMT"), "{mistakes:?}");
    renewal.look(files(&early), false, NOW);
    let mistakes = refused(renewal.look(files(&early), false, NOW));
    assert!(mistakes[0].why.ends_with("it is not valid before Nov 29 00:01:00 2026 GMT"), "{mistakes:?}");
    assert!(is_nothing(&renewal.look(files(&early), false, NOW + 59)));
    assert!(matches!(renewal.look(files(&early), false, NOW + 60), Step::Serve(_)));
}

fn overdue(what: &str) -> Option<Reminder> {
    Some(Reminder { is_overdue: true, what: what.to_owned() })
}

#[test]
fn a_certificate_that_ends_soon_or_has_ended_is_recalled_once_a_day() {
    let mut renewal = renewal(&Pair::valid(NOW - 80 * DAY, NOW + 10 * DAY));
    let soon = "the certificate should have been renewed: valid until Dec  9 00:00:00 2026 GMT, 10 days";
    assert_eq!(renewal.remind(NOW), overdue(soon));
    assert_eq!(renewal.remind(NOW + DAY - 1), None);
    assert!(renewal.remind(NOW + DAY).is_some());
    let over = "clients refuse the certificate: it has expired on Dec  9 00:00:00 2026 GMT";
    assert_eq!(renewal.remind(NOW + 11 * DAY), overdue(over));
    // The clock was corrected.
    assert!(renewal.remind(NOW + 3 * DAY).is_some());
    let new = Pair::valid(NOW, NOW + 90 * DAY);
    assert!(matches!(renewal.look(files(&new), true, NOW + 11 * DAY), Step::Serve(_)));
    assert_eq!(renewal.remind(NOW + 12 * DAY), None);
}

#[test]
fn the_end_of_a_certificate_is_told_30_days_7_days_and_one_day_before() {
    for (lives, marks) in [(365, &[30, 7, 1][..]), (90, &[30, 7, 1]), (30, &[7, 1]), (10, &[1]), (1, &[])] {
        let end = NOW + lives * DAY;
        let mut renewal = renewal(&Pair::valid(NOW, end));
        // A look each minute, as the watch has one every few seconds.
        let mut told = Vec::new();
        for now in (NOW..=end).step_by(60) {
            told.extend(renewal.remind(now).map(|reminder| (end - now, reminder.is_overdue)));
        }
        for mark in marks {
            let at_mark = told.iter().filter(|(left, _)| *left == mark * DAY).count();
            assert_eq!(at_mark, 1, "{lives} days, {mark} before: {told:?}");
        }
        let early: Vec<_> = told.iter().filter(|(_, is_overdue)| !is_overdue).collect();
        assert_eq!(early.len(), usize::from(lives >= 30), "{lives} days: {told:?}");
    }
}

#[test]
fn a_certificate_that_is_renewed_is_told_of_again_at_its_own_marks() {
    let mut renewal = renewal(&days(60));
    let at = |end: i64, left: i64| NOW + (end - left) * DAY;
    assert!(renewal.remind(at(60, 30)).is_some_and(|reminder| !reminder.is_overdue));
    assert_eq!(renewal.remind(at(60, 30) + DAY), None);
    assert!(matches!(renewal.look(files(&days(90)), true, at(60, 28)), Step::Serve(_)));
    assert_eq!(renewal.remind(at(60, 28)), None);
    assert!(renewal.remind(at(90, 30)).is_some());
}
