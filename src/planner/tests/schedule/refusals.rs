//! What is wrong with a schedule, and where.

use azureml_planner::schedule::{Entry, Schedules};

use crate::{BASE, entry};

/// The problems of entries, as they are told.
fn problems(entries: &[Entry<'_>]) -> Vec<String> {
    let found = Schedules::read(entries, BASE).expect_err("it should be refused");
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn each_names_its_field() {
    let good = entry("office", "0 8 * * 1-5", "0 18 * * 1-5", "Europe/Berlin");
    assert!(Schedules::read(&[good], BASE).is_ok());
    for (bad, expected) in [
        (
            Entry { start: "0 8 * *", ..good },
            "spec.scaleSchedules.office.start: a cron expression has five fields (minute, hour, day of the month, month, \
             day of the week), this one has 4",
        ),
        (
            Entry { end: "0 25 * * *", ..good },
            "spec.scaleSchedules.office.end: \"25\" is no hour: it takes 0 to 23, lists (1,2), ranges (1-5), steps (*/2)",
        ),
        (
            Entry { start: "0 0 30 2 *", ..good },
            "spec.scaleSchedules.office.start: it never fires: no year has such a date",
        ),
        (
            Entry { end: "0 0 31 4,6,9,11 *", ..good },
            "spec.scaleSchedules.office.end: it never fires: no year has such a date",
        ),
        (
            Entry { time_zone: "Europe/Berln", ..good },
            "spec.scaleSchedules.office.timeZone: there is no time zone \"Europe/Berln\": did you mean Europe/Berlin, \
             Europe/Dublin or Europe/Jersey?",
        ),
        (
            Entry { time_zone: "W. Europe Standard Time", ..good },
            "spec.scaleSchedules.office.timeZone: \"W. Europe Standard Time\" is what Windows calls it: write the IANA \
             name, Europe/Berlin",
        ),
        (
            Entry { time_zone: "", ..good },
            "spec.scaleSchedules.office.timeZone: there is no time zone \"\": write an IANA name, such as Europe/Berlin \
             or Etc/UTC",
        ),
        (
            Entry { end: good.start, ..good },
            "spec.scaleSchedules.office.end: each start is an end too, so the window never opens: let it end later",
        ),
        (
            Entry { end: "0 8 * * MON,TUE,WED,THU,FRI,SAT", ..good },
            "spec.scaleSchedules.office.end: each start is an end too, so the window never opens: let it end later",
        ),
        (
            Entry { min: Some(5), max: Some(4), ..good },
            "spec.scaleSchedules.office.minNodes: the fewest nodes (5) are more than the most (4): lower minNodes or \
             raise maxNodes",
        ),
        (
            Entry { min: Some(9), max: None, ..good },
            "spec.scaleSchedules.office.minNodes: the fewest nodes (9) are more than the most (8 of spec.scale): lower \
             minNodes or raise maxNodes",
        ),
    ] {
        assert_eq!(problems(&[bad]), [expected]);
    }
}

#[test]
fn all_are_told() {
    let bad = Entry { min: Some(9), ..entry("a", "x", "0 8 * *", "nowhere at all, sorry") };
    let worse = Entry { max: Some(0), ..entry("b", "0 8 * * *", "0 9 * * *", "UTC") };
    let fields: Vec<String> =
        Schedules::read(&[bad, worse], BASE).unwrap_err().into_iter().map(|problem| problem.field).collect();
    let at = |end: &str| format!("spec.scaleSchedules.{end}");
    assert_eq!(fields, [at("a.start"), at("a.end"), at("a.timeZone"), at("a.minNodes"), at("b.minNodes")]);
}
