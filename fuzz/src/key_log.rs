//! The text of a key log: each line counts once, also when the text comes in parts, and none is shown.

use lowband_capture::KeyLog;
use lowband_capture::key_log::Added;

pub fn run(data: &[u8]) {
    let mut log = KeyLog::new();
    let added = log.add(data, 1);
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let counted = added.secrets + added.repeated + added.others + added.unread.len() + added.more_unread;
    assert!(counted <= lines.len());
    assert_eq!(log.len(), added.secrets);
    assert!(added.unread.iter().all(|unread| unread.line <= lines.len() as u64));

    let mut by_line = KeyLog::new();
    let mut sum = Added::default();
    for (number, line) in (1..).zip(&lines) {
        let each = by_line.add(line, number);
        sum.secrets += each.secrets;
        sum.repeated += each.repeated;
        sum.others += each.others;
        sum.unread.extend(each.unread);
    }
    sum.more_unread = sum.unread.len() - added.unread.len();
    sum.unread.truncate(added.unread.len());
    assert_eq!(sum, added, "line by line");

    // What a reason says is made up of our words and a number.
    for unread in &added.unread {
        let shown = unread.to_string();
        assert!(shown.starts_with("line ") && shown.len() < 90 && shown.is_ascii(), "{shown}");
    }
    for line in lines {
        let words: Vec<&[u8]> = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
        let [b"CLIENT_RANDOM", random, secret] = words[..] else { continue };
        let (Some(random), Some(secret)) = (unhex(random), unhex(secret)) else { continue };
        let Ok(random) = <[u8; 32]>::try_from(random) else { continue };
        if secret.len() == 48 {
            assert!(log.master_secret(&random).is_some());
        }
    }
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let digits =
        std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
    let pair = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(pair).collect()
}
