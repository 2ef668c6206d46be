//! Series of VM sizes: whether their quota has to be asked for, and until when Azure has them.
//!
//! Sources, read 2026-11:
//! - [Approval] the article "What are compute targets in Azure Machine Learning?" in its state of 2020-03-30. Today's has
//!   no such column; it says that such series may not be listed before quota has been asked for.
//! - [Ended in Machine Learning] the note on retired series in today's article of that name (2024-10-17).
//! - [Retired] "Retired Azure VM size series", learn.microsoft.com/azure/virtual-machines/sizes/retirement/retired-sizes-list
//! - [Successors] the migration guides that it names.

use std::fmt;

use jiff::ToSpan;
use jiff::civil::{Date, date};

use crate::Evidence;
use crate::size::Size;

/// When the facts of this page were read.
pub const CHECKED: Date = date(2026, 11, 24);

/// Where Microsoft says how quota is asked for.
pub const ASK_FOR_QUOTA: &str =
    "https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas#request-quota-and-limit-increases";

/// A series of VM sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Series {
    /// Its name in Microsoft's documentation.
    pub name: &'static str,
    /// The quota families of its sizes, as `vmSizes` spells them; the first is the series' own.
    pub families: &'static [&'static str],
    /// Whether its quota has to be asked for.
    pub approval: Approval,
    /// Its end; `None` where none is announced.
    pub end: Option<End>,
    /// What to use instead.
    pub successor: Option<&'static str>,
    /// How sure the end is, or that there is none.
    pub evidence: Evidence,
}

/// The end of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The first day on which Azure doesn't have it any more.
    pub on: Date,
    /// When that was announced, where it is known.
    pub announced: Option<Date>,
}

/// Whether the quota of a series has to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Approval {
    /// Subscriptions have some from the start.
    None,
    /// It is 0 until a support request for it is granted.
    Request,
}

/// How a series stands on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// No end is announced.
    Current,
    /// It ends.
    Retires {
        /// The first day without it.
        on: Date,
        /// What to use instead.
        successor: Option<&'static str>,
    },
    /// It has ended.
    Retired {
        /// The first day without it.
        since: Date,
        /// What to use instead.
        successor: Option<&'static str>,
    },
}

impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current => f.write_str("current"),
            Self::Retires { on, .. } => write!(f, "retires on {on}"),
            Self::Retired { since, .. } => write!(f, "retired since {since}"),
        }
    }
}

const fn series(
    name: &'static str,
    families: &'static [&'static str],
    approval: Approval,
    end: Option<End>,
    successor: Option<&'static str>,
) -> Series {
    Series { name, families, approval, end, successor, evidence: Evidence::Documented }
}

const V5: Option<&str> = Some("Dsv5, Ddsv5, Dasv5 or later");
const FAST: Option<&str> = Some("Dldsv5, Dlsv5, Falsv6 or later");
const T4: Option<&str> = Some("NCasT4_v3");
const A100: Option<&str> = Some("NC A100 v4");
const A10: Option<&str> = Some("NVadsA10 v5");
const fn end(on: Date, announced: Option<Date>) -> Option<End> {
    Some(End { on, announced })
}

const SUMMER_2023: Option<End> = end(date(2023, 8, 31), None);
const SUMMER_2024: Option<End> = end(date(2024, 8, 31), None);
const AUTUMN_2026: Option<End> = end(date(2026, 9, 30), Some(date(2026, 4, 15)));
const SPRING_2028: Option<End> = end(date(2028, 5, 1), Some(date(2025, 3, 31)));
const AUTUMN_2028: Option<End> = end(date(2028, 11, 15), Some(date(2025, 10, 15)));

/// The series that are known: first the twelve of the article of 2020, then others whose quota or end is known.
pub const SERIES: &[Series] = &[
    series("D", &["standardDFamily"], Approval::None, SPRING_2028, V5),
    series("Dv2", &["standardDv2Family", "standardDv2PromoFamily"], Approval::None, SPRING_2028, V5),
    series("DSv2", &["standardDSv2Family", "standardDSv2PromoFamily"], Approval::None, SPRING_2028, V5),
    series("FSv2", &["standardFSv2Family"], Approval::None, AUTUMN_2028, FAST),
    series("M", &["standardMSFamily"], Approval::Request, None, None),
    series("NC", &["standardNCFamily", "standardNCPromoFamily"], Approval::None, SUMMER_2023, T4),
    series("NCsv2", &["standardNCSv2Family"], Approval::Request, SUMMER_2023, A100),
    series("NCsv3", &["standardNCSv3Family"], Approval::Request, end(date(2025, 9, 30), None), A100),
    series("NDs", &["standardNDSFamily"], Approval::Request, SUMMER_2023, Some("NCasT4_v3 or ND A100 v4")),
    // Not on the list of retired series, and recommended by the guides for others.
    Series { evidence: Evidence::Assumed, ..series("NDv2", &["standardNDSv2Family"], Approval::Request, None, None) },
    series("NV", &["standardNVFamily", "standardNVPromoFamily"], Approval::None, SUMMER_2023, A10),
    series("NVv3", &["standardNVSv3Family"], Approval::Request, AUTUMN_2026, A10),
    series("Dv3", &["standardDv3Family"], Approval::None, None, None),
    series("DSv3", &["standardDSv3Family"], Approval::None, None, None),
    series("HBv2", &["standardHBrsv2Family"], Approval::Request, None, None),
    series("HC", &["standardHCSFamily"], Approval::Request, None, None),
    series("DS", &["standardDSFamily"], Approval::None, SPRING_2028, V5),
    series("F", &["standardFFamily"], Approval::None, AUTUMN_2028, FAST),
    series("FS", &["standardFSFamily"], Approval::None, AUTUMN_2028, FAST),
    series("Av2", &["standardAv2Family"], Approval::None, AUTUMN_2028, V5),
    series("B", &["standardBSFamily"], Approval::None, AUTUMN_2028, Some("Dlsv5 or Dldsv5")),
    series("G", &["standardGFamily"], Approval::None, AUTUMN_2028, Some("Lsv3 or Lasv3")),
    series("GS", &["standardGSFamily"], Approval::None, AUTUMN_2028, Some("Lsv3 or Lasv3")),
    series("LS", &["standardLSFamily"], Approval::None, SPRING_2028, Some("Lsv4 or Lasv3")),
    series("LSv2", &["standardLSv2Family"], Approval::None, AUTUMN_2028, Some("Lsv3 or Lasv3")),
    series("NVv4", &["standardNVSv4Family"], Approval::None, AUTUMN_2026, A10),
    series("NP", &["standardNPSFamily"], Approval::None, end(date(2027, 5, 31), None), T4),
    series("A", &["basicAFamily", "standardA0_A7Family", "standardA8_A11Family"], Approval::None, SUMMER_2024, V5),
    series("HB", &["standardHBSFamily"], Approval::None, SUMMER_2024, Some("HBv3")),
];

impl Series {
    /// The series of a size, where it is known.
    pub fn of(size: &Size) -> Option<&'static Self> {
        Self::of_family(size.family)
    }

    /// The series of a quota family, without regard to case.
    pub fn of_family(family: &str) -> Option<&'static Self> {
        SERIES.iter().find(|series| series.families.iter().any(|one| one.eq_ignore_ascii_case(family)))
    }

    /// The series of a name, without regard to case.
    pub fn named(name: &str) -> Option<&'static Self> {
        SERIES.iter().find(|series| series.name.eq_ignore_ascii_case(name))
    }

    /// How it stands on a day, by what was announced by then. Where it isn't known when that was, three years before the end
    /// is assumed, as for others.
    pub fn lifecycle(&self, day: Date) -> Lifecycle {
        let Some(End { on, announced }) = self.end else { return Lifecycle::Current };
        let told = announced.or_else(|| on.checked_sub(3.years()).ok());
        let successor = self.successor;
        if told.is_some_and(|told| day < told) {
            Lifecycle::Current
        } else if day < on {
            Lifecycle::Retires { on, successor }
        } else {
            Lifecycle::Retired { since: on, successor }
        }
    }

    /// How its quota is asked for, where it has to be.
    pub fn how_to_ask(&self) -> Option<String> {
        (self.approval == Approval::Request).then(|| {
            let family = self.families.first().copied().unwrap_or_default();
            format!("ask for quota with a support request (subscriptions start with none of {family}): {ASK_FOR_QUOTA}")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::size;

    #[test]
    fn the_twelve_then_and_now() {
        let (then, now) = (date(2020, 3, 30), date(2026, 11, 24));
        for (name, example, ask, today) in [
            ("D", "Standard_D3", false, "retires on 2028-05-01"),
            ("Dv2", "Standard_D3_v2", false, "retires on 2028-05-01"),
            ("DSv2", "Standard_DS3_v2", false, "retires on 2028-05-01"),
            ("FSv2", "Standard_F4s_v2", false, "retires on 2028-11-15"),
            ("M", "Standard_M64s", true, "current"),
            ("NC", "Standard_NC6", false, "retired since 2023-08-31"),
            ("NCsv2", "Standard_NC6s_v2", true, "retired since 2023-08-31"),
            ("NCsv3", "Standard_NC6s_v3", true, "retired since 2025-09-30"),
            ("NDs", "Standard_ND6s", true, "retired since 2023-08-31"),
            ("NDv2", "Standard_ND40rs_v2", true, "current"),
            ("NV", "Standard_NV6", false, "retired since 2023-08-31"),
            ("NVv3", "Standard_NV12s_v3", true, "retired since 2026-09-30"),
        ] {
            let series = Series::of(size::find(example).unwrap()).unwrap();
            assert_eq!(series.name, name, "{example}");
            assert_eq!(Some(series), Series::named(&name.to_lowercase()));
            assert_eq!(series.approval == Approval::Request, ask, "{name}");
            assert_eq!(series.how_to_ask().is_some(), ask, "{name}");
            assert_eq!(series.lifecycle(then), Lifecycle::Current, "{name}");
            assert_eq!(series.lifecycle(now).to_string(), today, "{name}");
        }
    }

    #[test]
    fn the_first_day_and_the_last() {
        let series = Series::named("NVv3").unwrap();
        let successor = series.successor;
        let end = date(2026, 9, 30);
        assert_eq!(series.lifecycle(date(2026, 4, 14)), Lifecycle::Current);
        assert_eq!(series.lifecycle(date(2026, 4, 15)), Lifecycle::Retires { on: end, successor });
        assert_eq!(series.lifecycle(date(2026, 9, 29)), Lifecycle::Retires { on: end, successor });
        assert_eq!(series.lifecycle(end), Lifecycle::Retired { since: end, successor });
    }

    #[test]
    fn families_exist_and_belong_to_one_series() {
        let mut seen = std::collections::BTreeSet::new();
        for series in SERIES {
            assert!(series.end.is_none() || series.successor.is_some(), "{} ends, and then?", series.name);
            for family in series.families {
                assert!(size::all().iter().any(|size| size.family == *family), "{family} has no size");
                assert!(seen.insert(*family), "{family} is in two series");
            }
        }
    }

    /// Compares with `azure/vm-series.tsv` below the folder that AZUREML_SHARED names (default: `../shared` from the
    /// workspace root), where it is at hand.
    #[test]
    fn the_twelve_are_those_of_the_list() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let folder = std::env::var_os("AZUREML_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
        let path = root.join(folder).join("azure/vm-series.tsv");
        let Ok(list) = std::fs::read_to_string(&path) else {
            println!("skipped: there is no {}", path.display());
            return;
        };
        let rows: Vec<Vec<&str>> = list.lines().skip(1).map(|line| line.split('\t').collect()).collect();
        assert_eq!(rows.len(), 12);
        for (row, series) in rows.iter().zip(SERIES) {
            let approval = if series.approval == Approval::Request { "approval" } else { "none" };
            assert_eq!(row[..3], [series.name, approval, series.families[0]]);
            let told = series.lifecycle(CHECKED);
            let agrees = match row[3] {
                "current" | "check" => told == Lifecycle::Current,
                "retired" => matches!(told, Lifecycle::Retired { .. }),
                text => match text.split_once(' ') {
                    Some(("ends", day)) => told.to_string() == format!("retires on {day}"),
                    Some(("retired", day)) => told.to_string() == format!("retired since {day}"),
                    _ => false,
                },
            };
            assert!(agrees, "{row:?}: {told}");
        }
    }
}
