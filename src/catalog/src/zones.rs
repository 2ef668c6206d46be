//! Time zones: manifests say IANA names, Azure's schedules for compute instances take what Windows calls them.
//!
//! Source: the mapping of the Unicode CLDR (supplemental/windowsZones), the older names of each zone from the IANA
//! database 2026f, and the three zones for Canada that Windows got in 2026; four zones are with those whose clocks they have
//! shared since (Inuvik, Scoresbysund, Casey, Vostok). Which names Azure takes is documented for most
//! (appendix of "CLI (v2) schedule YAML schema", read 2026-11); for the others it is assumed. Of the documented ones, two
//! that Windows keeps for old calendars only are left out: Kamchatka Standard Time and Mid-Atlantic Standard Time.

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use crate::{Evidence, listed, nearest};

const FILE: &str = include_str!("../data/zones.tsv");

/// A time zone of Windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowsZone {
    /// What Windows calls it, such as `W. Europe Standard Time`.
    pub name: &'static str,
    /// The IANA zone that stands for it everywhere, such as `Europe/Berlin`.
    pub iana: &'static str,
    /// Every IANA zone that it covers; the first is [`Self::iana`].
    pub covers: Vec<&'static str>,
    /// Whether Azure is known to take it.
    pub evidence: Evidence,
}

/// A name that can't be translated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZoneError {
    /// It is no IANA zone.
    Unknown {
        /// What was asked for.
        name: String,
        /// Names like it, nearest first.
        nearest: Vec<&'static str>,
    },
    /// It is what Windows calls a zone.
    WindowsName {
        /// What was asked for.
        name: String,
        /// Its IANA name.
        iana: &'static str,
    },
    /// It is an IANA zone, and Windows has none like it.
    NoWindowsZone {
        /// What was asked for.
        name: String,
    },
}

impl fmt::Display for ZoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, nearest } if nearest.is_empty() => {
                write!(f, "there is no time zone {name:?}: write an IANA name, such as Europe/Berlin or Etc/UTC")
            }
            Self::Unknown { name, nearest } => {
                write!(f, "there is no time zone {name:?}: did you mean {}?", listed(nearest, "or"))
            }
            Self::WindowsName { name, iana } => {
                write!(f, "{name:?} is what Windows calls it: write the IANA name, {iana}")
            }
            Self::NoWindowsZone { name } => write!(
                f,
                "Azure's schedules take Windows' time zones, and Windows has none for {name}: write one with the same \
                 offset, such as Etc/UTC"
            ),
        }
    }
}

impl std::error::Error for ZoneError {}

/// IANA zones that Windows has none for: their clocks follow rules of their own.
const WITHOUT: &[&str] = &["Antarctica/Troll"];

struct Table {
    zones: Vec<WindowsZone>,
    /// Index by lower-cased IANA name, and by lower-cased name in Windows.
    iana: HashMap<String, usize>,
    windows: HashMap<String, usize>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    // A line that isn't understood would be left out; a test holds that there is none.
    let zones: Vec<WindowsZone> = FILE.lines().skip(1).filter_map(parse).collect();
    let windows = zones.iter().enumerate().map(|(index, zone)| (zone.name.to_ascii_lowercase(), index)).collect();
    let covers = zones.iter().enumerate().flat_map(|(index, zone)| zone.covers.iter().map(move |name| (name, index)));
    let iana = covers.map(|(name, index)| (name.to_ascii_lowercase(), index)).collect();
    Table { zones, iana, windows }
});

fn parse(line: &'static str) -> Option<WindowsZone> {
    let fields: Vec<&'static str> = line.split('\t').collect();
    let [name, evidence, iana] = fields[..] else { return None };
    let evidence = match evidence {
        "documented" => Evidence::Documented,
        "assumed" => Evidence::Assumed,
        _ => return None,
    };
    let covers: Vec<&'static str> = iana.split(' ').collect();
    Some(WindowsZone { name, iana: covers.first().copied().filter(|zone| !zone.is_empty())?, covers, evidence })
}

/// All zones of Windows, by name.
pub fn all() -> &'static [WindowsZone] {
    &TABLE.zones
}

/// All IANA names that are known here, with Windows zone or without.
pub fn iana() -> impl Iterator<Item = &'static str> {
    all().iter().flat_map(|zone| zone.covers.iter().copied()).chain(WITHOUT.iter().copied())
}

/// What Windows calls an IANA zone, without regard to case.
///
/// # Errors
/// No such zone, or none that Windows has.
pub fn to_windows(iana: &str) -> Result<&'static WindowsZone, ZoneError> {
    if let Some(index) = TABLE.iana.get(&iana.to_ascii_lowercase()) {
        return TABLE.zones.get(*index).ok_or_else(|| ZoneError::NoWindowsZone { name: iana.to_owned() });
    }
    Err(if WITHOUT.iter().any(|zone| zone.eq_ignore_ascii_case(iana)) {
        ZoneError::NoWindowsZone { name: iana.to_owned() }
    } else {
        unknown(iana)
    })
}

/// The zone that Windows calls so, without regard to case.
pub fn from_windows(name: &str) -> Option<&'static WindowsZone> {
    TABLE.windows.get(&name.to_ascii_lowercase()).and_then(|index| TABLE.zones.get(*index))
}

/// What to say of a name that is no IANA zone.
pub fn unknown(name: &str) -> ZoneError {
    match from_windows(name) {
        Some(zone) => ZoneError::WindowsName { name: name.to_owned(), iana: zone.iana },
        None => ZoneError::Unknown { name: name.to_owned(), nearest: near(name) },
    }
}

/// The three IANA names nearest to a mistyped one. A city alone is found too.
pub fn near(name: &str) -> Vec<&'static str> {
    let wanted = name.trim().replace(' ', "_").to_ascii_lowercase();
    let city = |zone: &&'static str| zone.rsplit('/').next().is_some_and(|last| last.eq_ignore_ascii_case(&wanted));
    let cities: Vec<&'static str> = iana().filter(city).take(3).collect();
    if cities.is_empty() { nearest::nearest(&wanted, iana(), 3) } else { cities }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZoneDatabase;

    use super::*;

    #[test]
    fn every_line_is_a_zone() {
        for line in FILE.lines().skip(1) {
            assert!(parse(line).is_some(), "{line:?}");
        }
        assert_eq!(all().len(), FILE.lines().count() - 1);
        assert_eq!(TABLE.windows.len(), all().len(), "a Windows zone stands there twice");
        assert_eq!(TABLE.iana.len(), all().iter().map(|zone| zone.covers.len()).sum::<usize>(), "an IANA zone does");
        for line in ["", "UTC\tdocumented", "UTC\tdocumented\t", "UTC\tmaybe\tEtc/UTC"] {
            assert_eq!(parse(line), None, "{line:?}");
        }
    }

    #[test]
    fn there_and_back() {
        for (iana, windows, back) in [
            ("Europe/Berlin", "W. Europe Standard Time", "Europe/Berlin"),
            ("europe/vienna", "W. Europe Standard Time", "Europe/Berlin"),
            ("America/New_York", "Eastern Standard Time", "America/New_York"),
            ("US/Eastern", "Eastern Standard Time", "America/New_York"),
            ("Asia/Kolkata", "India Standard Time", "Asia/Kolkata"),
            ("Asia/Calcutta", "India Standard Time", "Asia/Kolkata"),
            ("Europe/Kyiv", "FLE Standard Time", "Europe/Kyiv"),
            ("Europe/Kiev", "FLE Standard Time", "Europe/Kyiv"),
            ("Etc/UTC", "UTC", "Etc/UTC"),
            ("UTC", "UTC", "Etc/UTC"),
            ("Europe/London", "GMT Standard Time", "Europe/London"),
            ("Africa/Abidjan", "Greenwich Standard Time", "Atlantic/Reykjavik"),
            ("Asia/Saigon", "SE Asia Standard Time", "Asia/Bangkok"),
            ("Etc/GMT-12", "UTC+12", "Etc/GMT-12"),
            ("America/Vancouver", "British Columbia Standard Time", "America/Vancouver"),
        ] {
            let zone = to_windows(iana).unwrap();
            assert_eq!((zone.name, zone.iana), (windows, back), "{iana}");
            assert_eq!(from_windows(&windows.to_uppercase()), Some(zone));
        }
        assert_eq!(from_windows("Europe/Berlin"), None);
        for zone in all() {
            assert_eq!(to_windows(zone.iana), Ok(zone));
        }
    }

    #[test]
    fn what_is_refused() {
        for (name, expected) in [
            ("Europe/Berln", "there is no time zone \"Europe/Berln\": did you mean Europe/Berlin"),
            ("berlin", "did you mean Europe/Berlin?"),
            ("new york", "did you mean America/New_York?"),
            ("W. Europe Standard Time", "write the IANA name, Europe/Berlin"),
            ("utc+12", "write the IANA name, Etc/GMT-12"),
            ("", "write an IANA name, such as Europe/Berlin"),
            ("xxxxxxxxxxxxxxxxxxxxxxxxxx", "write an IANA name, such as Europe/Berlin"),
            ("Antarctica/Troll", "Windows has none for Antarctica/Troll"),
        ] {
            let error = to_windows(name).unwrap_err().to_string();
            assert!(error.contains(expected), "{name}: {error}");
        }
    }

    /// Each name is a zone of the IANA database, and the other way round.
    #[test]
    fn the_database_has_the_same_names() {
        let database = TimeZoneDatabase::bundled();
        let ours: std::collections::BTreeSet<&str> = iana().collect();
        let theirs: Vec<String> = database.available().map(|name| name.as_str().to_owned()).collect();
        for name in &ours {
            assert!(database.get(name).is_ok(), "{name} is no zone");
        }
        for name in &theirs {
            // What a computer is set to that nobody has set.
            assert!(ours.contains(name.as_str()) || name == "Factory", "{name} is missing");
        }
    }

    /// Where the clocks of a zone don't show what those of its Windows zone do in the years to come.
    #[test]
    fn clocks_agree() {
        let database = TimeZoneDatabase::bundled();
        let mut apart = std::collections::BTreeMap::new();
        for zone in all() {
            let standard = database.get(zone.iana).unwrap();
            for name in &zone.covers {
                let own = database.get(name).unwrap();
                let start: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
                let days = (0..3 * 365).filter(|day| {
                    let then = start + jiff::SignedDuration::from_hours(24 * day);
                    own.to_offset(then) != standard.to_offset(then)
                });
                let count = days.count();
                if count > 0 {
                    apart.insert(*name, (zone.name, count));
                }
            }
        }
        assert_eq!(apart, std::collections::BTreeMap::new());
    }
}
