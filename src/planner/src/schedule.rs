//! `spec.scaleSchedules`: what a cluster may scale between at a moment, and until when that holds.
//!
//! A schedule is a window that two cron expressions open and close in a time zone. It is open where its last start lies
//! after its last end, so the answer depends on the time alone and not on what has been seen before; where both fall on
//! one instant, the end wins. Of several open windows the last in the order of the manifest decides alone; with none open,
//! `spec.scale` does.

pub mod cron;
pub mod occurrence;

use std::fmt;
use std::sync::LazyLock;

use azureml_catalog::zones;
use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use self::cron::Cron;
use self::occurrence::Firing;

/// The zones that come with this program, so that a preview elsewhere says what the operator does.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Fewest and most nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scale {
    /// Nodes that are always there.
    pub min: u32,
    /// Nodes at a time.
    pub max: u32,
}

/// A schedule as the manifest has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its name in `spec.scaleSchedules`.
    pub name: &'a str,
    /// Cron expression of when the window opens.
    pub start: &'a str,
    /// Cron expression of when it closes.
    pub end: &'a str,
    /// IANA name of the zone that both are in.
    pub time_zone: &'a str,
    /// Fewest nodes while it is open; `None` for those of `spec.scale`.
    pub min: Option<u32>,
    /// Most nodes while it is open; `None` for those of `spec.scale`.
    pub max: Option<u32>,
}

/// What is wrong with a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field's path, from `spec.scaleSchedules` on.
    pub field: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// What holds at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// What the cluster may scale between.
    pub effective: Scale,
    /// The schedule that says so; `None` for `spec.scale`.
    pub source: Option<String>,
    /// Names of all open windows, in the order of the manifest; the last one is the source.
    pub active: Vec<String>,
    /// When the scale or its source next changes; `None` where nothing ever changes it.
    pub until: Option<Timestamp>,
}

/// The schedules of a cluster, understood.
#[derive(Clone, Debug)]
pub struct Schedules {
    base: Scale,
    windows: Vec<Window>,
}

#[derive(Clone, Debug)]
struct Window {
    name: String,
    start: Cron,
    end: Cron,
    zone: TimeZone,
    scale: Scale,
}

/// Reads and evaluates in one go: [`Schedules::read`] and [`Schedules::at`].
///
/// # Errors
/// All that is wrong with the entries.
pub fn evaluate(entries: &[Entry<'_>], base: Scale, now: Timestamp) -> Result<Evaluation, Vec<Problem>> {
    Ok(Schedules::read(entries, base)?.at(now))
}

impl Schedules {
    /// Understands the entries of `spec.scaleSchedules`, which come in the manifest's order (a map's: by name), beside
    /// the `base` of `spec.scale`.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn read(entries: &[Entry<'_>], base: Scale) -> Result<Self, Vec<Problem>> {
        let mut windows = Vec::with_capacity(entries.len());
        let mut problems = Vec::new();
        for entry in entries {
            match Window::read(entry, base) {
                Ok(window) => windows.push(window),
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() { Ok(Self { base, windows }) } else { Err(problems) }
    }

    /// What holds at a moment.
    pub fn at(&self, now: Timestamp) -> Evaluation {
        let open: Vec<(usize, &Window)> = self.windows.iter().enumerate().filter(|(_, w)| w.is_open(now)).collect();
        let winner = open.last().copied();
        // Only what comes after the window that decides can take over from it while it is open.
        let rivals = self.windows.iter().skip(winner.map_or(0, |(index, _)| index + 1));
        let opens = rivals.filter_map(|window| window.opens(now));
        let until = winner.and_then(|(_, window)| window.closes(now)).into_iter().chain(opens).min();
        Evaluation {
            effective: winner.map_or(self.base, |(_, window)| window.scale),
            source: winner.map(|(_, window)| window.name.clone()),
            active: open.iter().map(|(_, window)| window.name.clone()).collect(),
            until,
        }
    }
}

impl Window {
    fn read(entry: &Entry<'_>, base: Scale) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut problem = |field: &str, message: String| {
            problems.push(Problem { field: format!("spec.scaleSchedules.{}.{field}", entry.name), message });
        };
        let start = entry.start.parse::<Cron>().map_err(|error| problem("start", error.to_string())).ok();
        let end = entry.end.parse::<Cron>().map_err(|error| problem("end", error.to_string())).ok();
        let zone = zone(entry.time_zone).map_err(|message| problem("timeZone", message)).ok();
        if let (Some(start), Some(end)) = (&start, &end)
            && start.is_within(end)
        {
            problem("end", "each start is an end too, so the window never opens: let it end later".to_owned());
        }
        let scale = Scale { min: entry.min.unwrap_or(base.min), max: entry.max.unwrap_or(base.max) };
        if scale.min > scale.max {
            let whose = |own: Option<u32>| if own.is_some() { "" } else { " of spec.scale" };
            let message = format!(
                "the fewest nodes ({}{}) are more than the most ({}{}): lower minNodes or raise maxNodes",
                scale.min,
                whose(entry.min),
                scale.max,
                whose(entry.max),
            );
            problem(if entry.min.is_some() { "minNodes" } else { "maxNodes" }, message);
        }
        match (start, end, zone) {
            (Some(start), Some(end), Some(zone)) if problems.is_empty() => {
                Ok(Self { name: entry.name.to_owned(), start, end, zone, scale })
            }
            _ => Err(problems),
        }
    }

    fn starts(&self) -> Firing<'_> {
        Firing { cron: &self.start, without: None, zone: &self.zone }
    }

    fn ends(&self) -> Firing<'_> {
        Firing { cron: &self.end, without: None, zone: &self.zone }
    }

    /// Whether it is open at a moment.
    fn is_open(&self, now: Timestamp) -> bool {
        // Nothing lies before the first start, so it doesn't matter that no end does either.
        self.starts().last(now).is_some_and(|start| self.ends().last(now).is_none_or(|end| start > end))
    }

    /// When it closes, being open.
    fn closes(&self, now: Timestamp) -> Option<Timestamp> {
        self.ends().next(now)
    }

    /// When it opens, being closed.
    fn opens(&self, now: Timestamp) -> Option<Timestamp> {
        let real = Firing { without: Some(&self.end), ..self.starts() };
        let mut start = real.next(now)?;
        // Two minutes of a skipped hour can still fire together.
        while !self.is_open(start) {
            start = real.next(start)?;
        }
        Some(start)
    }
}

/// The zone of an IANA name.
fn zone(name: &str) -> Result<TimeZone, String> {
    ZONES.get(name).map_err(|_| zones::unknown(name).to_string())
}
