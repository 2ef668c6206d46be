//! When a cron expression fires in a time zone.
//!
//! Each minute that it matches on the wall clock fires once. One that the clock skips in spring fires at the first instant
//! after the gap, together with others of the same gap; one that the clock shows twice in autumn fires the first time.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::cron::Cron;

/// Days that a search looks through. The rarest date, 29 February, comes after eight years at the latest.
const HORIZON: usize = 9 * 366;

/// What fires: the minutes of one expression, less those of another.
#[derive(Clone, Copy, Debug)]
pub struct Firing<'a> {
    /// The expression.
    pub cron: &'a Cron,
    /// The one whose minutes don't count.
    pub without: Option<&'a Cron>,
    /// Where the wall clock hangs.
    pub zone: &'a TimeZone,
}

impl Firing<'_> {
    /// The first instant after `after`; `None` where there is none within nine years, or before the end of time.
    pub fn next(self, after: Timestamp) -> Option<Timestamp> {
        let mut wall = self.zone.to_datetime(after);
        // In the second pass through an hour, its minutes have fired already.
        loop {
            wall = self.later(wall)?;
            let instant = self.instant(wall)?;
            if instant > after {
                return Some(instant);
            }
        }
    }

    /// The last instant up to and with `until`; `None` where there is none within nine years, or after the start of time.
    pub fn last(self, until: Timestamp) -> Option<Timestamp> {
        let mut wall = self.zone.to_datetime(until);
        // In the second pass through an hour, all of its minutes have fired, also those that the clock shows later on.
        if let AmbiguousOffset::Fold { before, after } = self.zone.to_ambiguous_timestamp(wall).offset() {
            let width = i64::from(before.seconds()) - i64::from(after.seconds());
            wall = wall.checked_add(SignedDuration::from_secs(width)).ok()?;
        }
        loop {
            wall = self.earlier(wall)?;
            let instant = self.instant(wall)?;
            if instant <= until {
                return Some(instant);
            }
            wall = wall.checked_sub(1.minute()).ok()?;
        }
    }

    /// The instant at which a minute of the wall clock fires.
    fn instant(self, wall: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(wall);
        match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(wall).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(wall).ok(),
            // Read with the offset of before, it is past the jump; the last jump up to then is the one.
            AmbiguousOffset::Gap { before, .. } => {
                let past = before.to_timestamp(wall).ok()?.checked_add(SignedDuration::from_secs(1)).ok()?;
                self.zone.preceding(past).next().map(|transition| transition.timestamp())
            }
        }
    }

    /// The minutes of an hour that fire: a bit for each.
    fn minutes(self, date: Date, hour: u8) -> u64 {
        let less = self.without.filter(|cron| cron.is_on(date)).map_or(0, |cron| cron.minutes_of(hour));
        self.cron.minutes_of(hour) & !less
    }

    /// The first matching minute of the wall clock after the one of `wall`.
    fn later(self, wall: DateTime) -> Option<DateTime> {
        let mut from = wall.checked_add(1.minute()).ok()?;
        for _ in 0..HORIZON {
            if self.cron.is_on(from.date()) {
                for hour in from.hour()..24 {
                    let first = if hour == from.hour() { from.minute() } else { 0 };
                    let minutes = self.minutes(from.date(), hour as u8) & (u64::MAX << first);
                    if minutes != 0 {
                        return at(from.date(), hour, minutes.trailing_zeros());
                    }
                }
            }
            from = from.date().tomorrow().ok()?.to_datetime(Time::midnight());
        }
        None
    }

    /// The last matching minute of the wall clock up to and with the one of `wall`.
    fn earlier(self, wall: DateTime) -> Option<DateTime> {
        let mut from = wall;
        for _ in 0..HORIZON {
            if self.cron.is_on(from.date()) {
                for hour in (0..=from.hour()).rev() {
                    let last = if hour == from.hour() { from.minute() } else { 59 };
                    let minutes = self.minutes(from.date(), hour as u8) & (u64::MAX >> (63 - last));
                    if minutes != 0 {
                        return at(from.date(), hour, 63 - minutes.leading_zeros());
                    }
                }
            }
            from = from.date().yesterday().ok()?.at(23, 59, 0, 0);
        }
        None
    }
}

fn at(date: Date, hour: i8, minute: u32) -> Option<DateTime> {
    Some(date.to_datetime(Time::new(hour, i8::try_from(minute).ok()?, 0, 0).ok()?))
}
