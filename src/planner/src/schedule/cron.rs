//! Cron expressions of five fields: minute, hour, day of the month, month, day of the week.
//!
//! What an expression matches are minutes on a wall clock; [`super::occurrence`] finds the instants of a time zone. Days
//! follow Kubernetes' CronJob: where both the day of the month and the day of the week are restricted, either may match;
//! `*` alone (or `*/1`) restricts nothing. Whether an expression can match at all is decided here, exactly and without a
//! search, because days of the month and of the week never restrict each other.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// Days of each month in a leap year: whether a date exists in some year.
const LONGEST: [u8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// A parsed expression that matches some minute in some year.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    /// A bit for each minute, 0 to 59.
    minutes: u64,
    /// A bit for each hour, 0 to 23.
    hours: u32,
    /// A bit for each month, 1 to 12.
    months: u16,
    days: Days,
}

/// Which days match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Days {
    /// A bit for each day of the month, 1 to 31; `None` for `*`.
    of_month: Option<u32>,
    /// A bit for each day of the week, 0 (Sunday) to 6; `None` for `*`.
    of_week: Option<u8>,
}

impl Days {
    fn matches(self, of_month: u8, of_week: u8) -> bool {
        let month = self.of_month.map(|set| set >> of_month & 1 == 1);
        let week = self.of_week.map(|set| set >> of_week & 1 == 1);
        match (month, week) {
            (Some(month), Some(week)) => month || week,
            (one, other) => one.or(other).unwrap_or(true),
        }
    }
}

/// Why an expression isn't one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CronError {
    /// Not five fields; this many.
    Fields(usize),
    /// A field that isn't understood.
    Field {
        /// Which one, in words.
        name: &'static str,
        /// The part of it that is wrong, as it was written.
        part: String,
        /// What is wrong with it.
        why: String,
    },
    /// It names only dates that no year has, such as 30 February.
    Never,
}

impl fmt::Display for CronError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fields(count) => write!(
                f,
                "a cron expression has five fields (minute, hour, day of the month, month, day of the week), this one \
                 has {count}"
            ),
            Self::Field { name, part, why } => write!(f, "{part:?} is no {name}: {why}"),
            Self::Never => f.write_str("it never fires: no year has such a date"),
        }
    }
}

/// How a field is written.
struct Form {
    name: &'static str,
    low: u8,
    high: u8,
    /// Names of the values, from `low` on.
    names: &'static [&'static str],
}

const MINUTE: Form = Form { name: "minute", low: 0, high: 59, names: &[] };
const HOUR: Form = Form { name: "hour", low: 0, high: 23, names: &[] };
const DAY: Form = Form { name: "day of the month", low: 1, high: 31, names: &[] };
const MONTH: Form = Form { name: "month", low: 1, high: 12, names: MONTHS };
/// 7 is Sunday too.
const WEEKDAY: Form = Form { name: "day of the week", low: 0, high: 7, names: WEEKDAYS };

impl Form {
    fn error(&self, part: &str, why: impl Into<String>) -> CronError {
        CronError::Field { name: self.name, part: part.to_owned(), why: why.into() }
    }

    fn value(&self, part: &str, text: &str) -> Result<u8, CronError> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        if let Some(index) = named.and_then(|index| u8::try_from(index).ok()) {
            return Ok(self.low + index);
        }
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let value = text.parse().ok().filter(|value| digits && (self.low..=self.high).contains(value));
        value.ok_or_else(|| {
            let names = match (self.names.first(), self.names.last()) {
                (Some(first), Some(last)) => format!(", or {first} to {last}"),
                _ => String::new(),
            };
            self.error(
                part,
                format!("it takes {} to {}{names}, lists (1,2), ranges (1-5), steps (*/2)", self.low, self.high),
            )
        })
    }

    /// The field as bits; `None` for one that restricts nothing.
    fn set(&self, text: &str) -> Result<Option<u64>, CronError> {
        let mut set = 0;
        let mut any = false;
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                None => (part, None),
                Some((range, step)) => {
                    let step: Option<u8> = step.parse().ok().filter(|step| (1..=self.high).contains(step));
                    let step = step.ok_or_else(|| self.error(part, format!("a step is 1 to {}", self.high)))?;
                    (range, Some(step))
                }
            };
            let (low, high) = match range.split_once('-') {
                _ if range == "*" => (self.low, self.high),
                None => {
                    let low = self.value(part, range)?;
                    // As elsewhere, 5/10 means 5-59/10.
                    (low, if step.is_some() { self.high } else { low })
                }
                Some((low, high)) => (self.value(part, low)?, self.value(part, high)?),
            };
            if low > high {
                let why = format!(
                    "the range runs backwards; write {range} as two, such as {low}-{},{}-{high}",
                    self.high, self.low
                );
                return Err(self.error(part, why));
            }
            any |= range == "*" && step.unwrap_or(1) == 1;
            for value in (low..=high).step_by(usize::from(step.unwrap_or(1))) {
                set |= 1 << value;
            }
        }
        Ok((!any).then_some(set))
    }
}

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else { return Err(CronError::Fields(fields.len())) };
        let whole = |set: Option<u64>| set.unwrap_or(u64::MAX);
        let weekdays = WEEKDAY.set(weekday)?.map(|set| (set & 0x7f | set >> 7 & 1) as u8);
        let cron = Self {
            minutes: whole(MINUTE.set(minute)?) & ((1 << 60) - 1),
            hours: whole(HOUR.set(hour)?) as u32 & ((1 << 24) - 1),
            months: whole(MONTH.set(month)?) as u16 & 0x1ffe,
            days: Days { of_month: DAY.set(day)?.map(|set| set as u32), of_week: weekdays },
        };
        if cron.dates().next().is_none() { Err(CronError::Never) } else { Ok(cron) }
    }
}

impl Cron {
    /// Month, day of the month and of the week of every date that matches in some year. Each date of a leap year falls
    /// on each day of the week in one of 400 years.
    fn dates(&self) -> impl Iterator<Item = (u8, u8, u8)> + '_ {
        let months = (1..=12u8).filter(|month| self.months >> month & 1 == 1);
        let days = months.flat_map(|month| (1..=LONGEST[usize::from(month) - 1]).map(move |day| (month, day)));
        let dates = days.flat_map(|(month, day)| (0..7u8).map(move |weekday| (month, day, weekday)));
        dates.filter(|(_, day, weekday)| self.days.matches(*day, *weekday))
    }

    /// Whether it matches some minute of a date.
    pub fn is_on(&self, date: Date) -> bool {
        let weekday = date.weekday().to_sunday_zero_offset() as u8;
        self.months >> date.month() & 1 == 1 && self.days.matches(date.day() as u8, weekday)
    }

    /// The minutes that match in an hour of a date that matches: a bit for each.
    pub fn minutes_of(&self, hour: u8) -> u64 {
        if self.hours >> hour & 1 == 1 { self.minutes } else { 0 }
    }

    /// Whether every minute that it matches is one that `other` matches.
    pub fn is_within(&self, other: &Self) -> bool {
        self.minutes & !other.minutes == 0
            && self.hours & !other.hours == 0
            && self
                .dates()
                .all(|(month, day, weekday)| other.months >> month & 1 == 1 && other.days.matches(day, weekday))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn cron(text: &str) -> Cron {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn the_same_in_other_words() {
        for (one, other) in [
            ("0 8 * * 1-5", "0 8 * * mon-fri"),
            ("0 8 * * 1-5", "0  8\t*  * MON,tue,3,4,Fri"),
            ("*/15 * * * *", "0,15,30,45 * * * *"),
            ("5/10 * * * *", "5,15,25,35,45,55 * * * *"),
            ("0 0 * 1-3 *", "0 0 */1 jan,feb,mar *"),
            ("0 0 * * 0", "0 0 * * 7"),
            ("0 0 * * 5-7", "0 0 * * 0,5,6"),
            ("0-20/10 * * * *", "0,10,20 * * * *"),
            ("0 0 * * 1,*", "0 0 * * *"),
        ] {
            assert_eq!(cron(one), cron(other), "{one} and {other}");
        }
        for (one, other) in [
            ("0 8 * * *", "0 9 * * *"),
            ("0 8 * * *", "1 8 * * *"),
            // Restricted, though to every day.
            ("0 8 1 * *", "0 8 1 * 0-6"),
            ("0 8 1 * *", "0 8 1 2 *"),
        ] {
            assert_ne!(cron(one), cron(other), "{one} and {other}");
        }
    }

    #[test]
    fn what_is_refused() {
        for (text, expected) in [
            ("", "this one has 0"),
            ("0 8 * *", "this one has 4"),
            ("0 0 8 * * *", "this one has 6"),
            ("@daily", "this one has 1"),
            ("60 8 * * *", "\"60\" is no minute: it takes 0 to 59, lists"),
            ("0 24 * * *", "\"24\" is no hour: it takes 0 to 23"),
            ("0 8 0 * *", "\"0\" is no day of the month: it takes 1 to 31"),
            ("0 8 32 * *", "is no day of the month"),
            ("0 8 * 13 *", "\"13\" is no month: it takes 1 to 12, or jan to dec"),
            ("0 8 * * 8", "\"8\" is no day of the week: it takes 0 to 7, or sun to sat"),
            ("0 8 * * monday", "\"monday\" is no day of the week"),
            ("0 8 * * fri-mon", "\"fri-mon\" is no day of the week: the range runs backwards"),
            ("0 22-6 * * *", "write 22-6 as two, such as 22-23,0-6"),
            ("*/0 * * * *", "a step is 1 to 59"),
            ("*/60 * * * *", "a step is 1 to 59"),
            ("*/x * * * *", "a step is 1 to 59"),
            ("1,,2 * * * *", "\"\" is no minute"),
            ("-1 * * * *", "\"-1\" is no minute"),
            ("+1 * * * *", "\"+1\" is no minute"),
            ("1-2-3 * * * *", "is no minute"),
            ("? * * * *", "\"?\" is no minute"),
            ("0 0 L * *", "\"L\" is no day of the month"),
            ("0 0 30 2 *", "it never fires: no year has such a date"),
            ("0 0 30,31 feb *", "never fires"),
            ("0 0 31 2,4,6,9,11 *", "never fires"),
        ] {
            let error = text.parse::<Cron>().expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        // Every seventh year or so; and on Mondays, whatever the date.
        assert!("0 0 29 2 *".parse::<Cron>().is_ok());
        assert!("0 0 30 2 1".parse::<Cron>().is_ok());
    }

    #[test]
    fn days() {
        let on = |text: &str, dates: [bool; 4]| {
            // A Sunday, a Monday, a Tuesday that is the 1st, a leap day that is a Thursday.
            let asked = [date(2026, 11, 22), date(2026, 11, 23), date(2026, 12, 1), date(2024, 2, 29)];
            assert_eq!(asked.map(|date| cron(text).is_on(date)), dates, "{text}");
        };
        on("0 0 * * *", [true, true, true, true]);
        on("0 0 * * 1-5", [false, true, true, true]);
        on("0 0 * * 7", [true, false, false, false]);
        on("0 0 1 * *", [false, false, true, false]);
        on("0 0 1 * 1", [false, true, true, false]);
        on("0 0 1 * */2", [true, false, true, true]);
        on("0 0 29 2 *", [false, false, false, true]);
        on("0 0 * 12 *", [false, false, true, false]);
    }

    #[test]
    fn one_within_another() {
        for (inner, outer, expected) in [
            ("0 8 * * *", "0 8 * * *", true),
            ("0 8 * * 1", "0 8 * * 1-5", true),
            ("0 8 * * 1-5", "0 8 * * 1", false),
            ("0 8 * * 1", "* * * * *", true),
            ("0 8 * * *", "0 8 1-31 * *", true),
            ("0 8 * 2 *", "0 8 1-29 * *", true),
            ("0 8 * 3 *", "0 8 1-29 * *", false),
            ("0 8 1 * 1", "0 8 * * 1", false),
            ("0 8 1 * *", "0 8 1 * 1", true),
            ("0 8 * * *", "0 9 * * *", false),
            ("0,30 8 * * *", "0 8 * * *", false),
        ] {
            assert_eq!(cron(inner).is_within(&cron(outer)), expected, "{inner} within {outer}");
        }
    }
}
