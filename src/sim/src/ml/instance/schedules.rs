//! Start and stop schedules: what is wrong with one, and when it fires next.

use super::zones;
use jiff::{
    Span, Timestamp,
    civil::{Date, DateTime, Time, Weekday},
    tz::TimeZone,
};
use serde_json::Value;

/// Days that are looked at for the next firing before a schedule counts as one that never fires (29 February comes
/// within eight years).
const HORIZON_DAYS: i32 = 366 * 9;

/// When a schedule fires.
#[derive(Clone, Debug)]
pub struct Timetable {
    zone: TimeZone,
    start: Option<DateTime>,
    rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    /// Days that fit, and the times of such a day in their order.
    Days { days: Days, times: Vec<Time> },
    /// Every so many minutes from the start on.
    Every { minutes: i64 },
}

#[derive(Clone, Debug)]
enum Days {
    /// Days of the month, months and days of the week (0 is Sunday) that a cron expression names: all must fit.
    Cron { days: Vec<i8>, months: Vec<i8>, weekdays: Vec<i8> },
    /// Every so many days.
    Daily(i32),
    /// Every so many weeks on these days.
    Weekly(i32, Vec<Weekday>),
    /// Every so many months on these days.
    Monthly(i32, Vec<i8>),
}

impl Timetable {
    /// Read an item of `computeStartStop`, of which the fields' types have been checked.
    ///
    /// # Errors
    /// The field below the item that is wrong, and why.
    pub fn read(item: &Value) -> Result<Self, (String, String)> {
        let kind = item["triggerType"].as_str().unwrap_or_default();
        let name = if kind.eq_ignore_ascii_case("Cron") { "cron" } else { "recurrence" };
        let body = &item[name];
        if body.is_null() {
            return Err((name.into(), format!("a schedule whose triggerType is {kind} needs {name}")));
        }
        let at = |field: &str, why: String| (format!("{name}.{field}"), why);
        let zone = body["timeZone"].as_str().unwrap_or("UTC");
        let zone = zones::find(zone).and_then(|iana| TimeZone::get(iana).ok()).ok_or_else(|| {
            at("timeZone", format!("'{zone}' is not a Windows time zone, like 'W. Europe Standard Time'"))
        })?;
        let start = match body["startTime"].as_str().filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => Some(
                text.parse::<DateTime>()
                    .map_err(|_| at("startTime", format!("'{text}' is not of the form yyyy-MM-ddTHH:mm:ss")))?,
            ),
        };
        let rule = match name {
            "cron" => cron(body["expression"].as_str().unwrap_or_default()).map_err(|why| at("expression", why))?,
            _ => recurrence(body).map_err(|(field, why)| at(&field, why))?,
        };
        Ok(Self { zone, start, rule })
    }

    /// The first instant after `after` at which it fires. A schedule without a start time counts from `anchor`.
    pub fn next(&self, anchor: Timestamp, after: Timestamp) -> Option<Timestamp> {
        let start = match self.start {
            Some(start) => self.instant(start)?,
            None => anchor.to_zoned(self.zone.clone()).with().second(0).subsec_nanosecond(0).build().ok()?.timestamp(),
        };
        match &self.rule {
            Rule::Every { minutes } => {
                let past = after.as_second().saturating_sub(start.as_second());
                let rounds = if past < 0 { 0 } else { past.div_euclid(minutes * 60) + 1 };
                Timestamp::from_second(start.as_second().checked_add(rounds.checked_mul(minutes * 60)?)?).ok()
            }
            Rule::Days { days, times } => {
                let origin = start.to_zoned(self.zone.clone()).date();
                let first = after.max(start).to_zoned(self.zone.clone()).date();
                let from_start = |at: &Timestamp| *at > after && *at >= start;
                (0..HORIZON_DAYS)
                    .filter_map(|n| first.checked_add(Span::new().days(n)).ok())
                    .filter(|day| days.fit(origin, *day))
                    .flat_map(|day| times.iter().filter_map(move |time| self.instant(day.to_datetime(*time))))
                    .find(from_start)
            }
        }
    }

    /// A local time as an instant; one that the clocks leave out comes as much later.
    fn instant(&self, local: DateTime) -> Option<Timestamp> {
        self.zone.to_ambiguous_timestamp(local).compatible().ok()
    }
}

impl Days {
    fn fit(&self, origin: Date, day: Date) -> bool {
        let days_since = |from: Date| day.since(from).map_or(-1, |span| span.get_days());
        let months_since =
            i32::from(day.year() - origin.year()) * 12 + i32::from(day.month()) - i32::from(origin.month());
        match self {
            Self::Cron { days, months, weekdays } => {
                days.contains(&day.day())
                    && months.contains(&day.month())
                    && weekdays.contains(&day.weekday().to_sunday_zero_offset())
            }
            Self::Daily(every) => days_since(origin) % every == 0,
            Self::Weekly(every, on) => {
                let back = i64::from(origin.weekday().to_monday_zero_offset());
                let monday = origin.checked_sub(Span::new().days(back)).unwrap_or(origin);
                let listed =
                    if on.is_empty() { day.weekday() == origin.weekday() } else { on.contains(&day.weekday()) };
                listed && (days_since(monday) / 7) % every == 0
            }
            Self::Monthly(every, on) => {
                let listed = if on.is_empty() { day.day() == origin.day() } else { on.contains(&day.day()) };
                listed && months_since % every == 0
            }
        }
    }
}

/// An NCrontab expression of five fields: minute, hour, day of the month, month, day of the week.
fn cron(text: &str) -> Result<Rule, String> {
    const MONTHS: &[&str] = &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
    const DAYS: &[&str] = &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields.as_slice() else {
        return Err(format!("'{text}' is not a cron expression of five fields"));
    };
    let read = |part: &str, low: i8, high: i8, names: &[&str]| {
        field(part, low, high, names).ok_or_else(|| format!("'{part}' in '{text}' is not a field of a cron expression"))
    };
    let (minutes, hours) = (read(minute, 0, 59, &[])?, read(hour, 0, 23, &[])?);
    let times = times(&hours, &minutes);
    let (days, months) = (read(day, 1, 31, &[])?, read(month, 1, 12, MONTHS)?);
    let weekdays = read(weekday, 0, 6, DAYS)?;
    Ok(Rule::Days { days: Days::Cron { days, months, weekdays }, times })
}

/// The values that one field names: `*`, `a`, `a-b`, each with `/step`, and lists of these.
fn field(text: &str, low: i8, high: i8, names: &[&str]) -> Option<Vec<i8>> {
    let number = |word: &str| match names.iter().position(|name| name.eq_ignore_ascii_case(word)) {
        Some(at) => i8::try_from(at).ok().map(|at| at + low),
        None => word.parse().ok().filter(|n| (low..=high).contains(n)),
    };
    let mut out = Vec::new();
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<usize>().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (low, high),
            Some((from, to)) => (number(from)?, number(to)?),
            None if step > 1 => (number(range)?, high),
            None => (number(range)?, number(range)?),
        };
        if from > to {
            return None;
        }
        out.extend((from..=to).step_by(step));
    }
    out.sort_unstable();
    out.dedup();
    Some(out)
}

fn times(hours: &[i8], minutes: &[i8]) -> Vec<Time> {
    hours.iter().flat_map(|h| minutes.iter().filter_map(|m| Time::new(*h, *m, 0, 0).ok())).collect()
}

fn recurrence(body: &Value) -> Result<Rule, (String, String)> {
    let interval = body["interval"].as_i64().and_then(|n| i32::try_from(n).ok()).filter(|n| (1..=1000).contains(n));
    let interval = interval.ok_or(("interval".to_string(), "it must be between 1 and 1000".to_string()))?;
    let frequency = body["frequency"].as_str().unwrap_or_default().to_ascii_lowercase();
    match frequency.as_str() {
        "minute" => return Ok(Rule::Every { minutes: i64::from(interval) }),
        "hour" => return Ok(Rule::Every { minutes: i64::from(interval) * 60 }),
        _ => {}
    }
    let schedule = &body["schedule"];
    if schedule.is_null() {
        return Err(("schedule".into(), format!("a recurrence by {frequency} needs one")));
    }
    let numbers = |name: &str, low: i64, high: i64| {
        let list = schedule[name].as_array().map(Vec::as_slice).unwrap_or_default();
        let fit = |n: &Value| n.as_i64().filter(|n| (low..=high).contains(n)).and_then(|n| i8::try_from(n).ok());
        let mut found = list
            .iter()
            .map(fit)
            .collect::<Option<Vec<i8>>>()
            .ok_or_else(|| (format!("schedule.{name}"), format!("each must be between {low} and {high}")))?;
        found.sort_unstable();
        Ok::<_, (String, String)>(found)
    };
    let times = times(&numbers("hours", 0, 23)?, &numbers("minutes", 0, 59)?);
    if times.is_empty() {
        return Err(("schedule".into(), "hours and minutes must not be empty".into()));
    }
    let weekdays: Vec<Weekday> =
        schedule["weekDays"].as_array().into_iter().flatten().filter_map(Value::as_str).filter_map(weekday).collect();
    let days = match frequency.as_str() {
        "day" => Days::Daily(interval),
        "week" => Days::Weekly(interval, weekdays),
        _ => Days::Monthly(interval, numbers("monthDays", 1, 31)?),
    };
    Ok(Rule::Days { days, times })
}

fn weekday(name: &str) -> Option<Weekday> {
    Some(match name.to_ascii_lowercase().as_str() {
        "monday" => Weekday::Monday,
        "tuesday" => Weekday::Tuesday,
        "wednesday" => Weekday::Wednesday,
        "thursday" => Weekday::Thursday,
        "friday" => Weekday::Friday,
        "saturday" => Weekday::Saturday,
        "sunday" => Weekday::Sunday,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn cron(expression: &str, zone: &str) -> Value {
        json!({"triggerType": "Cron", "cron": {"expression": expression, "timeZone": zone}})
    }

    fn recurrence(frequency: &str, interval: i64, schedule: Value) -> Value {
        json!({"triggerType": "Recurrence", "recurrence": {
            "frequency": frequency, "interval": interval, "startTime": "2026-11-02T00:00:00", "schedule": schedule}})
    }

    #[test]
    fn next_firing() {
        let day = json!({"hours": [18, 8], "minutes": [30]});
        for (item, after, expected) in [
            (cron("0 18 * * *", "UTC"), "2026-11-23T10:00:00Z", Some("2026-11-23T18:00:00Z")),
            (cron("0 18 * * *", "UTC"), "2026-11-23T18:00:00Z", Some("2026-11-24T18:00:00Z")),
            (cron("30 18 * * 1-5", "W. Europe Standard Time"), "2026-11-27T17:30:00Z", Some("2026-11-30T17:30:00Z")),
            (cron("30 18 * * MON,wed", "UTC"), "2026-11-23T18:30:00Z", Some("2026-11-25T18:30:00Z")),
            (cron("*/20 9-10 1 jan *", "UTC"), "2026-11-23T00:00:00Z", Some("2027-01-01T09:00:00Z")),
            (cron("0 0 29 2 *", "UTC"), "2026-11-23T00:00:00Z", Some("2028-02-29T00:00:00Z")),
            (cron("0 0 31 2 *", "UTC"), "2026-11-23T00:00:00Z", None),
            // Summer time: 18:00 in Berlin is an hour earlier in UTC.
            (cron("0 18 * * *", "W. Europe Standard Time"), "2027-07-01T00:00:00Z", Some("2027-07-01T16:00:00Z")),
            // 02:30 doesn't exist on that day.
            (cron("30 2 28 3 *", "W. Europe Standard Time"), "2027-03-01T00:00:00Z", Some("2027-03-28T01:30:00Z")),
            (recurrence("Day", 2, day.clone()), "2026-11-23T09:00:00Z", Some("2026-11-24T08:30:00Z")),
            (recurrence("Day", 1, day.clone()), "2026-11-23T09:00:00Z", Some("2026-11-23T18:30:00Z")),
            (recurrence("Day", 1, day.clone()), "2026-10-01T09:00:00Z", Some("2026-11-02T08:30:00Z")),
            (
                recurrence("Week", 2, json!({"hours": [8], "minutes": [0], "weekDays": ["Friday"]})),
                "2026-11-06T08:00:00Z",
                Some("2026-11-20T08:00:00Z"),
            ),
            (
                recurrence("Week", 1, json!({"hours": [8], "minutes": [0]})),
                "2026-11-03T00:00:00Z",
                Some("2026-11-09T08:00:00Z"),
            ),
            (
                recurrence("Month", 1, json!({"hours": [8], "minutes": [0], "monthDays": [15, 31]})),
                "2026-11-15T08:00:00Z",
                Some("2026-12-15T08:00:00Z"),
            ),
            (recurrence("Hour", 6, Value::Null), "2026-11-02T06:00:00Z", Some("2026-11-02T12:00:00Z")),
            (recurrence("Minute", 90, Value::Null), "2026-11-01T00:00:00Z", Some("2026-11-02T00:00:00Z")),
        ] {
            let table = Timetable::read(&item).unwrap();
            assert_eq!(table.next(at("2026-11-23T10:00:00Z"), at(after)), expected.map(at), "{item} after {after}");
        }
    }

    #[test]
    fn what_is_no_schedule() {
        for (item, field) in [
            (cron("0 18 * *", "UTC"), "cron.expression"),
            (cron("60 18 * * *", "UTC"), "cron.expression"),
            (cron("0 18 * * 7", "UTC"), "cron.expression"),
            (cron("0 18-8 * * *", "UTC"), "cron.expression"),
            (cron("*/0 * * * *", "UTC"), "cron.expression"),
            (cron("0 18 * * *", "Europe/Berlin"), "cron.timeZone"),
            (json!({"triggerType": "Cron"}), "cron"),
            (json!({"triggerType": "Recurrence", "cron": {"expression": "0 18 * * *"}}), "recurrence"),
            (recurrence("Day", 0, json!({"hours": [1], "minutes": [1]})), "recurrence.interval"),
            (recurrence("Day", 1, Value::Null), "recurrence.schedule"),
            (recurrence("Day", 1, json!({"hours": [24], "minutes": [1]})), "recurrence.schedule.hours"),
            (recurrence("Day", 1, json!({"hours": [], "minutes": [1]})), "recurrence.schedule"),
            (
                recurrence("Month", 1, json!({"hours": [1], "minutes": [1], "monthDays": [0]})),
                "recurrence.schedule.monthDays",
            ),
            (
                json!({"triggerType": "Cron", "cron": {"expression": "0 1 * * *", "startTime": "tomorrow"}}),
                "cron.startTime",
            ),
        ] {
            assert_eq!(Timetable::read(&item).unwrap_err().0, field, "{item}");
        }
    }
}
