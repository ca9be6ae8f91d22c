//! The window by exact values, over a path of which each request takes 100 ms.

use super::*;

const MS: Duration = Duration::from_millis(1);

/// A window of which each request takes 100 ms, begun with four.
fn begun() -> (DelayWindow, Instant) {
    let start = Instant::now();
    let mut window = DelayWindow::new(Some(100 * MS), 64);
    window.begin(start, 4);
    (window, start)
}

/// Sends what the window admits at once, and answers all of it after `takes` and `apart` each.
fn round(window: &mut DelayWindow, now: Instant, takes: Duration, apart: Duration) -> Instant {
    let numbers: Vec<_> = (0..window.window()).map(|_| window.send(now)).collect();
    let mut at = now + takes;
    for number in numbers {
        window.answered(at, number, Some(now), true);
        at += apart;
    }
    at
}

/// Moves blocks over a path of 100 ms that takes one each `apart`, and returns the widths of the window
/// after each `every` answers, and when the last came.
fn flow(
    window: &mut DelayWindow,
    start: Instant,
    apart: Duration,
    every: usize,
    count: usize,
) -> (Vec<usize>, Instant) {
    let mut on_their_way: VecDeque<(Instant, u64, Instant)> = VecDeque::new();
    let (mut now, mut free, mut widths) = (start, start, Vec::new());
    for answered in 1..=count {
        while window.on_their_way() < window.window() {
            free = free.max(now + 100 * MS - apart) + apart;
            on_their_way.push_back((free, window.send(now), now));
        }
        let (at, number, sent) = on_their_way.pop_front().unwrap();
        now = at;
        window.answered(now, number, Some(sent), true);
        if answered % every == 0 {
            widths.push(window.window());
        }
    }
    on_their_way.iter().for_each(|(_, number, _)| assert!(window.withdraw(*number)));
    (widths, now)
}

#[test]
fn the_window_grows_by_the_answer_or_two_while_the_round_trip_does_not_grow() {
    let (mut window, start) = begun();
    // Thirty blocks fit into the path.
    let (widths, _) = flow(&mut window, start, 100 * MS / 30, 4, 16);
    assert_eq!(widths, [9, 17, 21, 25]);
}

#[test]
fn what_follows_each_other_slowly_ends_slow_start_before_a_queue_stands() {
    let (mut window, start) = begun();
    // A block each 50 ms and a round trip of 100 ms: two fit, and five are enough.
    round(&mut window, start, 100 * MS, 50 * MS);
    assert_eq!(window.window(), 5);
    assert!(window.threshold <= 5.0);
}

#[test]
fn a_queue_of_more_than_two_blocks_makes_the_window_smaller_and_none_makes_it_wider() {
    let (mut window, start) = begun();
    let mut now = round(&mut window, start, 100 * MS, 50 * MS);
    window.window = 10.0;
    // Twice the least: half of the window waits.
    now = round(&mut window, now, 200 * MS, MS);
    now = round(&mut window, now, 200 * MS, MS);
    assert!(window.window() < 9, "{}", window.window);
    window.jitter = Duration::ZERO;
    window.window = 4.0;
    window.threshold = 4.0;
    now = round(&mut window, now, 100 * MS, MS);
    let before = window.window;
    round(&mut window, now, 100 * MS, MS);
    assert_eq!(window.window, before + 1.0);
}

#[test]
fn a_request_is_lost_when_three_later_ones_or_one_and_a_time_have_been_answered() {
    let (mut window, start) = begun();
    let numbers: Vec<_> = (0..6).map(|_| window.send(start)).collect();
    let at = start + 100 * MS;
    window.answered(at, numbers[2], Some(start), true);
    assert_eq!(window.take_lost(at), []);
    window.answered(at, numbers[3], Some(start), true);
    assert_eq!(window.take_lost(at), [numbers[0]], "overtaken by three");
    // An eighth of the round trip more, and the other is late as well.
    let late = window.timeout().unwrap();
    assert_eq!(late, start + 100 * MS + 12 * MS + MS / 2);
    assert_eq!(window.take_lost(late - MS), []);
    assert_eq!(window.take_lost(late), [numbers[1]]);
    assert_eq!(window.on_their_way(), 2);
}

#[test]
fn a_request_that_was_lost_and_is_answered_makes_the_next_judgement_slower() {
    let (mut window, start) = begun();
    let numbers: Vec<_> = (0..6).map(|_| window.send(start)).collect();
    let at = start + 100 * MS;
    window.answered(at, numbers[3], Some(start), true);
    assert_eq!(window.take_lost(at), [numbers[0]]);
    window.answered(at, numbers[0], Some(start), false);
    assert_eq!(window.overtaken_by, OVERTAKEN_BY + 2);
    for _ in 0..50 {
        window.answered(at, numbers[0], Some(start), false);
    }
    assert_eq!(window.overtaken_by, OVERTAKEN_BY_MOST);
}

#[test]
fn silence_is_probed_by_the_two_oldest_at_growing_intervals() {
    let (mut window, start) = begun();
    let numbers: Vec<_> = (0..3).map(|_| window.send(start)).collect();
    let first = window.timeout().unwrap();
    assert_eq!(first, start + 200 * MS, "srtt and four times a quarter of it");
    assert_eq!(window.take_probes(first - MS), []);
    assert_eq!(window.take_probes(first), numbers[..2]);
    let again: Vec<_> = (0..2).map(|_| window.send(first)).collect();
    assert_eq!(window.timeout(), Some(first + 300 * MS));
    let mut now = window.timeout().unwrap();
    assert_eq!(window.take_probes(now), [numbers[2], again[0]]);
    // Each probe is sent again, at most eight seconds apart, and the window ends at two.
    for _ in 0..20 {
        window.send(now);
        let next = window.timeout().unwrap();
        assert!(next - now <= LONGEST_GAP);
        now = next;
        assert!(window.take_probes(now).len() <= 2);
    }
    assert_eq!(window.window(), 2);
    window.send(now);
    assert_eq!((window.backoff(), window.timeout()), (22, Some(now + LONGEST_GAP)));
    // A sign of life brings the next one near.
    window.heard(now);
    assert!(window.timeout().unwrap() <= now + 100 * MS, "{:?}", window.timeout().unwrap() - now);
}

#[test]
fn nothing_on_its_way_wakes_nobody() {
    let (mut window, start) = begun();
    assert_eq!(window.timeout(), None);
    let number = window.send(start);
    assert!(window.timeout().is_some());
    assert!(window.withdraw(number) && !window.withdraw(number));
    assert_eq!(window.timeout(), None);
    assert_eq!(window.take_probes(start + LONGEST_GAP), []);
}

#[test]
fn more_loss_than_usual_makes_the_window_smaller_once() {
    let (mut window, mut now) = begun();
    window.threshold = 20.0;
    window.window = 20.0;
    let mut widths = Vec::new();
    for _ in 0..4 {
        let numbers: Vec<_> = (0..20).map(|_| window.send(now)).collect();
        now += 100 * MS;
        // Each fourth is lost.
        for number in &numbers {
            if number % 4 != 0 {
                window.answered(now, *number, Some(now - 100 * MS), true);
            }
        }
        window.take_lost(now + 100 * MS);
        window.out.clear();
        widths.push(window.window());
    }
    assert!(widths.iter().min() >= Some(&15), "{widths:?}");
    assert!(widths.contains(&15) || widths.contains(&16), "{widths:?}");
}

#[test]
fn a_body_soon_after_another_begins_with_what_the_path_takes() {
    let (mut window, mut now) = begun();
    (_, now) = flow(&mut window, now, 5 * MS, 1, 200);
    window.tail(now);
    let rate = window.rate.unwrap();
    assert!((195.0..=201.0).contains(&rate), "{rate}");
    window.begin(now + Duration::from_secs(60), 4);
    assert_eq!(window.window(), 18, "nine tenths of what fits into the path");
    assert!((window.threshold - 20.0).abs() < 0.5, "{}", window.threshold);
    window.begin(now + WARM_FOR + Duration::from_secs(1), 4);
    assert_eq!((window.window(), window.threshold), (4, f64::INFINITY), "too long ago");
}

#[test]
fn a_least_round_trip_that_is_not_seen_any_more_is_looked_for_with_half_the_window() {
    let (mut window, mut now) = begun();
    now = round(&mut window, now, 100 * MS, MS);
    window.threshold = 8.0;
    window.window = 8.0;
    let mut halved = false;
    while now < Instant::now() + Duration::from_secs(90) {
        now = round(&mut window, now, 150 * MS, MS);
        halved |= window.look.is_some();
    }
    assert!(halved);
    // In steps of a quarter.
    let (least, _) = window.least.unwrap();
    assert!(least > 120 * MS && least <= 150 * MS, "{least:?}");
}

#[test]
fn the_window_is_never_wider_than_its_bound() {
    let (mut window, mut now) = begun();
    window.most = 1.0;
    for _ in 0..10 {
        now = round(&mut window, now, 100 * MS, MS);
        assert_eq!(window.window(), 1);
    }
}

#[test]
fn a_body_that_begins_in_the_queue_of_others_looks_for_the_path_without_it() {
    let (mut window, start) = begun();
    // Blocks of 20 ms, and a queue of 400 ms: the handshake took 100 ms.
    let now = round(&mut window, start, 500 * MS, 20 * MS);
    assert_eq!(window.window(), 2, "{:?}", window.look);
    let now = round(&mut window, now, 120 * MS, 20 * MS);
    round(&mut window, now, 120 * MS, 20 * MS);
    assert!(window.look.is_none() && window.window() > 2);
    assert_eq!(window.least.map(|(least, _)| least), Some(120 * MS));
}

#[test]
fn looks_end_when_they_find_nothing_shorter_than_what_the_handshake_made_doubtful() {
    let (mut window, mut now) = begun();
    for _ in 0..100 {
        now = round(&mut window, now, 500 * MS, 20 * MS);
    }
    assert_eq!((window.handshake, window.vain_looks), (None, VAIN_LOOKS));
    assert!(window.look.is_none() && window.window() > 2);
}
