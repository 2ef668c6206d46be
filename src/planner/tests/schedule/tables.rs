//! What holds at a moment, and until when.

use azureml_planner::schedule::{Entry, Evaluation, Scale, evaluate};
use jiff::Timestamp;

use crate::{BASE, entry};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn on(entries: &[Entry<'_>], now: &str) -> Evaluation {
    evaluate(entries, BASE, at(now)).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// Walks from change to change: the instant of each, and what is open from then on.
fn walk(entries: &[Entry<'_>], from: &str, changes: usize) -> Vec<String> {
    let mut now = at(from);
    let mut told = Vec::new();
    for _ in 0..changes {
        let Some(next) = evaluate(entries, BASE, now).unwrap().until else { break };
        let source = evaluate(entries, BASE, next).unwrap().source;
        told.push(format!("{next} {}", source.as_deref().unwrap_or("-")));
        now = next;
    }
    told
}

const OFFICE: Entry<'static> = Entry {
    name: "office",
    start: "0 8 * * 1-5",
    end: "0 18 * * 1-5",
    time_zone: "Europe/Berlin",
    min: Some(2),
    max: None,
};

#[test]
fn none() {
    let expected = Evaluation { effective: BASE, source: None, active: vec![], until: None };
    assert_eq!(on(&[], "2026-11-24T12:00:00Z"), expected);
}

#[test]
fn one_window() {
    let closed = |until: &str| (BASE, None, Some(at(until)));
    let open = |until: &str| (Scale { min: 2, max: 8 }, Some("office".to_owned()), Some(at(until)));
    for (now, expected) in [
        ("2026-11-24T06:59:59.999Z", closed("2026-11-24T07:00:00Z")),
        ("2026-11-24T07:00:00Z", open("2026-11-24T17:00:00Z")),
        ("2026-11-24T16:59:59.999Z", open("2026-11-24T17:00:00Z")),
        ("2026-11-24T17:00:00Z", closed("2026-11-25T07:00:00Z")),
        // Over the weekend.
        ("2026-11-27T17:00:00Z", closed("2026-11-30T07:00:00Z")),
        ("2026-11-29T12:00:00Z", closed("2026-11-30T07:00:00Z")),
        // In summer the same hours are others.
        ("2026-07-07T06:00:00Z", open("2026-07-07T16:00:00Z")),
    ] {
        let found = on(&[OFFICE], now);
        assert_eq!((found.effective, found.source, found.until), expected, "{now}");
    }
}

#[test]
fn bounds_that_are_left_out() {
    let now = "2026-11-24T12:00:00Z";
    for (min, max, expected) in [
        (None, None, (0, 8)),
        (Some(3), None, (3, 8)),
        (None, Some(0), (0, 0)),
        (None, Some(20), (0, 20)),
        (Some(20), Some(20), (20, 20)),
    ] {
        let effective = on(&[Entry { min, max, ..OFFICE }], now).effective;
        assert_eq!((effective.min, effective.max), expected);
    }
}

#[test]
fn the_last_of_several_decides() {
    let crunch = entry("crunch", "0 12 * * 3", "0 14 * * 3", "Europe/Berlin");
    let night = entry("night", "0 22 * * *", "0 6 * * *", "Europe/Berlin");
    let told = |entries: &[Entry<'_>]| walk(entries, "2026-11-25T00:00:00Z", 6);
    // The later one takes over for its hours.
    assert_eq!(
        told(&[OFFICE, crunch]),
        [
            "2026-11-25T07:00:00Z office",
            "2026-11-25T11:00:00Z crunch",
            "2026-11-25T13:00:00Z office",
            "2026-11-25T17:00:00Z -",
            "2026-11-26T07:00:00Z office",
            "2026-11-26T17:00:00Z -",
        ]
    );
    // The other way round it never decides: it is open only while the office is.
    assert_eq!(
        told(&[crunch, OFFICE]),
        [
            "2026-11-25T07:00:00Z office",
            "2026-11-25T17:00:00Z -",
            "2026-11-26T07:00:00Z office",
            "2026-11-26T17:00:00Z -",
            "2026-11-27T07:00:00Z office",
            "2026-11-27T17:00:00Z -",
        ]
    );
    let found = on(&[crunch, OFFICE, night], "2026-11-25T12:00:00Z");
    assert_eq!(
        (found.active, found.source),
        (vec!["crunch".to_owned(), "office".to_owned()], Some("office".to_owned()))
    );
}

#[test]
fn windows_over_midnight_and_over_days() {
    let night = entry("night", "0 22 * * *", "0 6 * * *", "UTC");
    assert_eq!(
        walk(&[night], "2026-11-24T12:00:00Z", 3),
        ["2026-11-24T22:00:00Z night", "2026-11-25T06:00:00Z -", "2026-11-25T22:00:00Z night"]
    );
    let weekend = entry("weekend", "0 18 * * 5", "0 6 * * 1", "UTC");
    assert_eq!(on(&[weekend], "2026-11-29T00:00:00Z").source.as_deref(), Some("weekend"));
    assert_eq!(
        walk(&[weekend], "2026-11-24T12:00:00Z", 3),
        ["2026-11-27T18:00:00Z weekend", "2026-11-30T06:00:00Z -", "2026-12-04T18:00:00Z weekend"]
    );
    // One that meets the next: the day never ends but for the hour between.
    let relay = [entry("am", "0 0 * * *", "0 12 * * *", "UTC"), entry("pm", "0 12 * * *", "0 0 * * *", "UTC")];
    assert_eq!(
        walk(&relay, "2026-11-24T11:59:59Z", 3),
        ["2026-11-24T12:00:00Z pm", "2026-11-25T00:00:00Z am", "2026-11-25T12:00:00Z pm"]
    );
}

#[test]
fn an_end_on_a_start_wins() {
    // Every hour but at noon.
    let hourly = entry("hourly", "0 * * * *", "30 * * * *", "UTC");
    let noon = Entry { end: "0,30 12 * * *", start: "0,15 * * * *", ..hourly };
    assert_eq!(
        walk(&[noon], "2026-11-24T11:45:00Z", 4),
        [
            "2026-11-24T12:00:00Z -",
            "2026-11-24T12:15:00Z hourly",
            "2026-11-24T12:30:00Z -",
            "2026-11-24T13:00:00Z hourly",
        ]
    );
}

#[test]
fn years_end() {
    let break_ = entry("break", "0 0 24 12 *", "0 0 2 1 *", "America/New_York");
    assert_eq!(
        walk(&[break_], "2026-12-01T00:00:00Z", 3),
        ["2026-12-24T05:00:00Z break", "2027-01-02T05:00:00Z -", "2027-12-24T05:00:00Z break"]
    );
    // Auckland has the new year first.
    let day = entry("day", "0 0 1 1 *", "59 23 31 12 *", "Pacific/Auckland");
    assert_eq!(walk(&[day], "2026-12-31T10:00:00Z", 2), ["2026-12-31T10:59:00Z -", "2026-12-31T11:00:00Z day"]);
}

#[test]
fn leap_days() {
    let leap = entry("leap", "0 0 29 2 *", "0 0 1 3 *", "UTC");
    assert_eq!(
        walk(&[leap], "2026-11-24T00:00:00Z", 3),
        ["2028-02-29T00:00:00Z leap", "2028-03-01T00:00:00Z -", "2032-02-29T00:00:00Z leap"]
    );
    // 2100 is no leap year.
    assert_eq!(on(&[leap], "2097-01-01T00:00:00Z").until, Some(at("2104-02-29T00:00:00Z")));
    // A window that only a leap day closes is open for years, also across 2100.
    let years = entry("years", "0 0 1 3 *", "0 0 29 2 *", "UTC");
    assert_eq!(on(&[years], "2103-12-31T00:00:00Z").until, Some(at("2104-02-29T00:00:00Z")));
    assert_eq!(on(&[years], "2103-12-31T00:00:00Z").source.as_deref(), Some("years"));
}

#[test]
fn the_clock_goes_forward() {
    // Berlin: 29 March 2026, 02:00 becomes 03:00 at 01:00Z. New York: 8 March 2026, at 07:00Z.
    for (zone, before, jump) in [
        ("Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"),
        ("America/New_York", "2026-03-07T12:00:00Z", "2026-03-08T07:00:00Z"),
    ] {
        // A start that the clock skips comes right after the gap, and the end at its own time.
        let skipped = entry("skipped", "30 2 * * *", "30 4 * * *", zone);
        let ends = at(jump) + jiff::SignedDuration::from_mins(90);
        let told = walk(&[skipped], before, 2);
        assert_eq!(told, [format!("{jump} skipped"), format!("{ends} -")], "{zone}");
        // An end that it skips too.
        let end = entry("end", "0 1 * * *", "59 2 * * *", zone);
        let starts = at(jump) - jiff::SignedDuration::from_hours(1);
        assert_eq!(walk(&[end], before, 2), [format!("{starts} end"), format!("{jump} -")], "{zone}");
        // A window within the gap has no time at all that day.
        let within = entry("within", "10 2 * * *", "50 2 * * *", zone);
        let next = at(jump) + jiff::SignedDuration::from_mins(23 * 60 + 10);
        assert_eq!(walk(&[within], before, 1), [format!("{next} within")], "{zone}");
        // The end of the gap is no minute of it.
        let three = entry("three", "0 3 * * *", "0 4 * * *", zone);
        assert_eq!(walk(&[three], before, 1), [format!("{jump} three")], "{zone}");
    }
}

#[test]
fn the_clock_goes_back() {
    // Berlin: 25 October 2026, 03:00 becomes 02:00 at 01:00Z. New York: 1 November 2026, 02:00 becomes 01:00 at 06:00Z.
    for (zone, hour, before, jump) in [
        ("Europe/Berlin", 2, "2026-10-24T12:00:00Z", "2026-10-25T01:00:00Z"),
        ("America/New_York", 1, "2026-10-31T12:00:00Z", "2026-11-01T06:00:00Z"),
    ] {
        let minutes = |minutes| at(jump) + jiff::SignedDuration::from_mins(minutes);
        let (start, end) = (format!("30 {hour} * * *"), format!("45 {hour} * * *"));
        // What the clock shows twice comes once, the first time.
        let twice = entry("twice", &start, &end, zone);
        assert_eq!(
            walk(&[twice], before, 3),
            [
                format!("{} twice", minutes(-30)),
                format!("{} -", minutes(-15)),
                // A day and the hour that came twice after.
                format!("{} twice", minutes(24 * 60 + 30)),
            ],
            "{zone}"
        );
        // In the second pass the window has closed, though the clock shows its hours again.
        let second = minutes(35).to_string();
        assert_eq!(on(&[twice], &second).source, None, "{zone}");
        // One that is open over the change is an hour longer.
        let end = format!("30 {} * * *", hour + 1);
        let over = entry("over", &start, &end, zone);
        assert_eq!(
            walk(&[over], before, 2),
            [format!("{} over", minutes(-30)), format!("{} -", minutes(90))],
            "{zone}"
        );
        // Every quarter of an hour: none in the second pass.
        let often = entry("often", "0,30 * * * *", "15,45 * * * *", zone);
        assert_eq!(
            walk(&[often], &minutes(-31).to_string(), 3),
            [format!("{} often", minutes(-30)), format!("{} -", minutes(-15)), format!("{} often", minutes(60)),],
            "{zone}"
        );
    }
}

#[test]
fn odd_clocks() {
    // Lord Howe Island shifts by half an hour: 02:00 becomes 02:30 on 4 October 2026, at 15:30Z of the day before.
    let half = entry("half", "15 2 * * *", "0 5 * * *", "Australia/Lord_Howe");
    assert_eq!(walk(&[half], "2026-10-03T10:00:00Z", 1), ["2026-10-03T15:30:00Z half"]);
    // Samoa had no 30 December 2011: all of that day's starts and ends come at the start of the 31st.
    let lost = entry("lost", "0 8 * * *", "0 18 * * *", "Pacific/Apia");
    assert_eq!(
        walk(&[lost], "2011-12-29T10:00:00Z", 3),
        ["2011-12-29T18:00:00Z lost", "2011-12-30T04:00:00Z -", "2011-12-30T18:00:00Z lost"]
    );
    // Brazil's clocks went forward at midnight.
    let midnight = entry("midnight", "0 0 * * *", "0 6 * * *", "America/Sao_Paulo");
    assert_eq!(walk(&[midnight], "2018-11-03T12:00:00Z", 1), ["2018-11-04T03:00:00Z midnight"]);
}

#[test]
fn the_ends_of_time() {
    // Nothing panics, and nothing is sought for ever.
    let often = entry("often", "* * * * *", "* * * 1,3-12 *", "Europe/Berlin");
    let rare = entry("rare", "0 0 29 2 *", "0 0 1 3 *", "America/New_York");
    for now in [Timestamp::MIN, Timestamp::MAX] {
        for one in [OFFICE, often, rare] {
            evaluate(&[one], BASE, now).unwrap();
        }
    }
    assert_eq!(evaluate(&[OFFICE], BASE, Timestamp::MAX).unwrap().until, None);
    assert_eq!(on(&[often], "2026-03-02T00:00:00Z").until, Some(at("2027-01-31T23:00:00Z")));
}
