//! Scale schedules: what is taken holds until the moment that it names, and not a moment longer.

use azureml_catalog::zones;
use azureml_planner::schedule::{Entry, Scale, Schedules};
use jiff::{SignedDuration, Timestamp};

/// What `spec.scale` says.
const BASE: Scale = Scale { min: 0, max: 4 };

/// The input is the second to begin with, and then three lines for each schedule: start, end, zone.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.lines();
    let second = lines.next().and_then(|line| line.parse().ok());
    let Some(now) = second.and_then(|second| Timestamp::from_second(second).ok()) else { return };
    let lines: Vec<&str> = lines.take(9).collect();
    let names: Vec<String> = (0..3).map(|index| index.to_string()).collect();
    let entries: Vec<Entry<'_>> = lines
        .chunks_exact(3)
        .zip(&names)
        .map(|(line, name)| Entry { name, start: line[0], end: line[1], time_zone: line[2], min: Some(1), max: None })
        .collect();
    // What Windows calls a zone comes back to it. (Read but once what isn't one: the nearest names are sought for long.)
    let zone = entries.first().map(|entry| entry.time_zone).filter(|zone| zones::iana().any(|name| name == *zone));
    if let Some(windows) = zone.and_then(|zone| zones::to_windows(zone).ok()) {
        assert_eq!(zones::from_windows(windows.name), Some(windows));
    }
    match Schedules::read(&entries, BASE) {
        Ok(schedules) => walk(&schedules, now),
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                assert!(problem.field.starts_with("spec.scaleSchedules.") && !problem.message.contains('\n'));
            }
        }
    }
}

fn walk(schedules: &Schedules, mut now: Timestamp) {
    for _ in 0..3 {
        let found = schedules.at(now);
        assert_eq!(found.active.last(), found.source.as_ref());
        assert_eq!(found.source.is_some(), found.effective != BASE);
        let Some(until) = found.until else { return };
        assert!(until > now);
        for between in [now, now + until.duration_since(now) / 2, until - SignedDuration::from_nanos(1)] {
            let then = schedules.at(between);
            assert_eq!((then.source, then.until), (found.source.clone(), found.until), "at {between}");
        }
        assert_ne!(schedules.at(until).source, found.source, "nothing changes at {until}");
        now = until;
    }
}
