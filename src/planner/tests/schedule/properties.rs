//! The search against a walk through every minute, in which nothing is clever.

use azureml_planner::schedule::{Entry, Scale, Schedules};
use jiff::civil::{Date, DateTime};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp, ToSpan};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// Zones, each with a moment near which its clocks change. The last is in its zone's day that never was.
const PLACES: &[(&str, &str)] = &[
    ("Europe/Berlin", "2026-03-29T01:00:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00:00Z"),
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("Australia/Lord_Howe", "2027-04-03T15:00:00Z"),
    ("America/Sao_Paulo", "2018-11-04T03:00:00Z"),
    ("America/Sao_Paulo", "2019-02-17T02:00:00Z"),
    ("Asia/Kolkata", "2026-12-31T18:30:00Z"),
    ("Etc/UTC", "2028-02-29T00:00:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
];

/// An expression, as sets; empty days restrict nothing.
#[derive(Clone, Debug)]
struct Spec {
    minutes: Vec<u8>,
    hours: Vec<u8>,
    days: Vec<u8>,
    weekdays: Vec<u8>,
}

impl Spec {
    fn text(&self) -> String {
        let list = |set: &[u8]| {
            let all: Vec<String> = set.iter().map(u8::to_string).collect();
            if all.is_empty() { "*".to_owned() } else { all.join(",") }
        };
        format!("{} {} {} * {}", list(&self.minutes), list(&self.hours), list(&self.days), list(&self.weekdays))
    }

    fn on(&self, date: Date) -> bool {
        let day = self.days.contains(&(date.day() as u8));
        let weekday = self.weekdays.contains(&(date.weekday().to_sunday_zero_offset() as u8));
        match (self.days.is_empty(), self.weekdays.is_empty()) {
            (true, true) => true,
            (true, false) => weekday,
            (false, true) => day,
            (false, false) => day || weekday,
        }
    }

    fn matches(&self, wall: DateTime) -> bool {
        let set = |set: &[u8], value: i8| set.is_empty() || set.contains(&(value as u8));
        set(&self.minutes, wall.minute()) && set(&self.hours, wall.hour()) && self.on(wall.date())
    }
}

fn spec() -> impl Strategy<Value = Spec> {
    let minutes = subsequence(vec![0u8, 1, 15, 29, 30, 31, 45, 59], 0..4);
    let hours = subsequence(vec![0u8, 1, 2, 3, 4, 8, 12, 18, 23], 0..4);
    let days = prop_oneof![3 => Just(vec![]), 1 => subsequence((1u8..=31).collect::<Vec<_>>(), 8..24)];
    let weekdays = prop_oneof![2 => Just(vec![]), 1 => subsequence((0u8..7).collect::<Vec<_>>(), 1..7)];
    (minutes, hours, days, weekdays).prop_map(|(minutes, hours, days, weekdays)| Spec {
        minutes,
        hours,
        days,
        weekdays,
    })
}

/// Whether a window is open, minute by minute from `from` on; `None` until it has first opened or closed.
fn states(zone: &TimeZone, start: &Spec, end: &Spec, from: Timestamp, minutes: i64) -> Vec<Option<bool>> {
    let mut seen = zone.to_datetime(from - SignedDuration::from_mins(1));
    let mut state = None;
    let mut all = Vec::new();
    for minute in 0..minutes {
        // What the clock has come past since it last showed something new fires now.
        let wall = zone.to_datetime(from + SignedDuration::from_mins(minute));
        let (mut starts, mut ends) = (false, false);
        while seen < wall {
            seen = seen.checked_add(1.minute()).unwrap();
            starts |= start.matches(seen);
            ends |= end.matches(seen);
        }
        if ends {
            state = Some(false);
        } else if starts {
            state = Some(true);
        }
        all.push(state);
    }
    all
}

const BEFORE: i64 = 6 * 24 * 60;
const MINUTES: i64 = 10 * 24 * 60;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_search_finds_what_a_walk_finds(
        (zone, change) in select(PLACES),
        windows in prop::collection::vec((spec(), spec()), 1..4),
        moments in prop::collection::vec((BEFORE - 200..BEFORE + 2000, 0i64..60), 24),
    ) {
        let clock = TimeZoneDatabase::bundled().get(zone).unwrap();
        let from = change.parse::<Timestamp>().unwrap() - SignedDuration::from_mins(BEFORE);
        let texts: Vec<(String, String)> = windows.iter().map(|(start, end)| (start.text(), end.text())).collect();
        let names: Vec<String> = (0..windows.len()).map(|index| index.to_string()).collect();
        let entries: Vec<Entry<'_>> = texts.iter().zip(&names).map(|((start, end), name)| {
            Entry { name, start, end, time_zone: zone, min: Some(1), max: None }
        }).collect();
        let schedules = Schedules::read(&entries, Scale { min: 0, max: 4 });
        prop_assume!(schedules.is_ok());
        let schedules = schedules.unwrap();
        let states: Vec<_> =
            windows.iter().map(|(start, end)| states(&clock, start, end, from, MINUTES)).collect();
        for (minute, second) in moments {
            // The source at a minute; `None` where a window's state isn't known so early.
            let source = |minute: i64| -> Option<Option<String>> {
                let now: Option<Vec<bool>> = states.iter().map(|all| all[minute as usize]).collect();
                Some(now?.iter().rposition(|open| *open).map(|index| names[index].clone()))
            };
            let Some(expected) = source(minute) else { continue };
            let now = from + SignedDuration::from_secs(60 * minute + second);
            let found = schedules.at(now);
            prop_assert_eq!(&found.source, &expected, "at {}", now);
            let change = (minute + 1..MINUTES).find(|later| source(*later).as_ref() != Some(&expected));
            match (change, found.until) {
                (Some(change), until) => {
                    prop_assert_eq!(until, Some(from + SignedDuration::from_mins(change)), "after {}", now);
                }
                (None, Some(until)) => prop_assert!(until >= from + SignedDuration::from_mins(MINUTES), "{}", until),
                (None, None) => prop_assert!(false, "nothing ever changes after {}", now),
            }
        }
    }

    /// The scale and its source hold right up to `until`, and something differs then, whatever the expressions.
    #[test]
    fn until_is_the_first_change(
        windows in prop::collection::vec((spec(), spec(), select(PLACES)), 1..5),
        second in 1_700_000_000i64..2_000_000_000,
        between in prop::collection::vec(0.0f64..1.0, 8),
    ) {
        let texts: Vec<(String, String)> = windows.iter().map(|(start, end, _)| (start.text(), end.text())).collect();
        let names: Vec<String> = (0..windows.len()).map(|index| index.to_string()).collect();
        let entries: Vec<Entry<'_>> = texts.iter().zip(&windows).zip(&names).map(|(((start, end), window), name)| {
            Entry { name, start, end, time_zone: window.2.0, min: None, max: Some(9) }
        }).collect();
        let schedules = Schedules::read(&entries, Scale { min: 0, max: 4 });
        prop_assume!(schedules.is_ok());
        let schedules = schedules.unwrap();
        let now = Timestamp::from_second(second).unwrap();
        let found = schedules.at(now);
        let until = found.until.unwrap();
        prop_assert!(until > now);
        let width = until.as_second() - second;
        for part in between {
            let moment = Timestamp::from_second(second + (width as f64 * part) as i64).unwrap();
            let then = schedules.at(moment);
            prop_assert_eq!((&then.source, then.until), (&found.source, found.until), "at {}", moment);
        }
        prop_assert_ne!(&schedules.at(until).source, &found.source);
        prop_assert_eq!(found.source.is_some(), found.effective.max == 9);
        prop_assert_eq!(found.active.last(), found.source.as_ref());
    }

    /// Nothing that is written makes it panic.
    #[test]
    fn anything_may_be_written(start in ".{0,20}", end in "[0-9*/,a-z -]{0,20}", zone in ".{0,20}") {
        let entry = Entry { name: "x", start: &start, end: &end, time_zone: &zone, min: None, max: None };
        if let Ok(schedules) = Schedules::read(&[entry], Scale { min: 0, max: 4 }) {
            schedules.at(Timestamp::UNIX_EPOCH);
        }
    }
}
