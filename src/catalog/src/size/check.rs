//! Whether a size can be had: what Azure lists for a region, beside what is known without asking.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::civil::Date;

use super::{Size, Standing, find};
use crate::nearest::nearest;
use crate::series::{Lifecycle, Series};
use crate::{Evidence, Priority, Severity, Use, listed};

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Name of the size, as the manifest has it.
    pub size: &'a str,
    /// What it is wanted for.
    pub for_use: Use,
    /// The region, as the manifest has it.
    pub region: &'a str,
    /// What Azure offers this subscription.
    pub offers: &'a Offers,
    /// The quota of the size's family in the region, in cores, where it is known: whoever has some needn't ask for it.
    pub family_limit: Option<u64>,
    /// The day: what has been retired by then is retired.
    pub day: Date,
}

/// What Azure offers a subscription: its `vmSizes` lists of the regions that were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    regions: BTreeMap<String, Region>,
}

/// What is known of a region's sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Region {
    /// Its list. An empty one says nothing.
    Listed(Vec<Offer>),
    /// It may not be read for want of this action, or hasn't been (`None`).
    Unknown(Option<String>),
}

/// An item of a region's list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// `name`.
    pub name: String,
    /// `supportedComputeTypes`; empty where Azure didn't say.
    pub compute_types: Vec<String>,
    /// `lowPriorityCapable`, where Azure said.
    pub low_priority: Option<bool>,
}

impl Offers {
    /// None read.
    pub fn new() -> Self {
        Self::default()
    }

    /// With what is known of a region. Regions are told apart without regard to case and spaces.
    pub fn with(mut self, region: &str, known: Region) -> Self {
        self.regions.insert(key(region), known);
        self
    }

    fn listed(&self) -> impl Iterator<Item = (&str, &[Offer])> {
        self.regions.iter().filter_map(|(name, region)| match region {
            Region::Listed(offers) if !offers.is_empty() => Some((name.as_str(), offers.as_slice())),
            _ => None,
        })
    }
}

fn key(region: &str) -> String {
    region.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
}

fn offer<'a>(offers: &'a [Offer], size: &str) -> Option<&'a Offer> {
    offers.iter().find(|offer| offer.name.eq_ignore_ascii_case(size))
}

/// What was found of a size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The region offers it.
    Available,
    /// It ends.
    Retiring {
        /// The first day without it.
        on: Date,
        /// What to use instead.
        successor: Option<&'static str>,
    },
    /// Its quota has to be asked for.
    Restricted {
        /// How.
        how: String,
    },
    /// The region's list isn't known.
    Unknown {
        /// The action that is missing, where that is why.
        action: Option<String>,
    },
    /// No such size is known.
    NotASize {
        /// Names like it, nearest first.
        nearest: Vec<String>,
    },
    /// The region doesn't offer it to this subscription.
    NotInRegion {
        /// Those that do, of the regions whose lists are known.
        regions: Vec<String>,
        /// Sizes like it that the region offers, nearest first.
        nearest: Vec<String>,
    },
    /// Not at low priority.
    NotLowPriority {
        /// Why.
        why: String,
    },
    /// Not for this kind of compute.
    NotForUse {
        /// Why.
        why: String,
    },
    /// Azure doesn't have it any more.
    Retired {
        /// The first day without it; `None` where only the year 2024 or before is known.
        since: Option<Date>,
        /// What to use instead.
        successor: Option<&'static str>,
    },
}

/// A finding, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The size that was asked for.
    pub size: String,
    /// The region that was asked for.
    pub region: String,
    /// What it was asked for.
    pub for_use: Use,
    /// What was found.
    pub finding: Finding,
    /// What follows.
    pub severity: Severity,
}

/// The worst of [`findings`].
pub fn check(question: &Question<'_>) -> Verdict {
    let verdict = |(finding, severity)| Verdict {
        size: question.size.to_owned(),
        region: question.region.to_owned(),
        for_use: question.for_use,
        finding,
        severity,
    };
    findings(question).into_iter().next().map_or_else(|| verdict((Finding::Available, Severity::Fine)), verdict)
}

/// All that is in the way, the worst first; nothing where the size is simply available.
pub fn findings(question: &Question<'_>) -> Vec<(Finding, Severity)> {
    let known = find(question.size);
    let mut found = match question.offers.regions.get(&key(question.region)) {
        Some(Region::Listed(offers)) if !offers.is_empty() => match offer(offers, question.size) {
            Some(offer) => offered(question, known, offer),
            None => vec![(missing(question, known, offers), Severity::Refuse)],
        },
        Some(Region::Unknown(action)) => unlisted(question, known, action.as_deref()),
        Some(Region::Listed(_)) | None => unlisted(question, known, None),
    };
    // Stable: of equals, the one that was thought of first.
    found.sort_by_key(|(_, severity)| Reverse(*severity));
    found
}

/// The region lists the size. What it says of it is certain; what we know beside that is not.
fn offered(question: &Question<'_>, known: Option<&Size>, offer: &Offer) -> Vec<(Finding, Severity)> {
    let mut found = Vec::new();
    let kind = question.for_use.compute_type();
    let silent = offer.compute_types.is_empty();
    if !silent && !offer.compute_types.iter().any(|one| one.eq_ignore_ascii_case(kind)) {
        let why = format!("Azure lists it for {} only", listed(&offer.compute_types, "and"));
        found.push((Finding::NotForUse { why }, Severity::Refuse));
    }
    let low = question.for_use == Use::Cluster(Priority::Low);
    if low && offer.low_priority == Some(false) {
        let why = "Azure lists it as dedicated only".to_owned();
        found.push((Finding::NotLowPriority { why }, Severity::Refuse));
    }
    if found.is_empty()
        && let Some(unfit) = known.and_then(|size| size.unfit(question.for_use))
    {
        // That it is listed for this use doesn't make it creatable, but neither is our word certain.
        let stated = !silent || (low && offer.low_priority.is_some());
        if !(stated && unfit.evidence == Evidence::Assumed) {
            found.push((Finding::NotForUse { why: unfit.why.to_owned() }, Severity::Warn));
        }
    }
    if let Some(size) = known {
        found.extend(ends(question, size).map(|finding| (finding, Severity::Warn)));
        found.extend(restricted(question, size).map(|finding| (finding, Severity::Warn)));
    }
    found
}

/// The region has a list, and the size isn't on it.
fn missing(question: &Question<'_>, known: Option<&Size>, offers: &[Offer]) -> Finding {
    let size = question.size;
    let elsewhere = question.offers.listed().filter(|(_, offers)| offer(offers, size).is_some());
    let regions: Vec<String> = elsewhere.map(|(region, _)| region.to_owned()).collect();
    let retired = known.and_then(|size| ends(question, size)).filter(|end| matches!(end, Finding::Retired { .. }));
    match (known, retired) {
        (_, Some(retired)) if regions.is_empty() => retired,
        (None, _) if regions.is_empty() => Finding::NotASize { nearest: alike(size, Some(offers)) },
        _ => Finding::NotInRegion { regions, nearest: alike(size, Some(offers)) },
    }
}

/// The region's list isn't known: nothing is certain.
fn unlisted(question: &Question<'_>, known: Option<&Size>, action: Option<&str>) -> Vec<(Finding, Severity)> {
    let size = question.size;
    let unknown = Finding::Unknown { action: action.map(str::to_owned) };
    let found = match known {
        None if question.offers.listed().any(|(_, offers)| offer(offers, size).is_some()) => vec![unknown],
        None => vec![Finding::NotASize { nearest: alike(size, None) }, unknown],
        Some(known) => {
            let unfit = known.unfit(question.for_use).map(|unfit| Finding::NotForUse { why: unfit.why.to_owned() });
            let all =
                ends(question, known).into_iter().chain(unfit).chain([unknown]).chain(restricted(question, known));
            all.collect()
        }
    };
    found.into_iter().map(|finding| (finding, Severity::Warn)).collect()
}

/// That a size has ended by the day, or will.
fn ends(question: &Question<'_>, size: &Size) -> Option<Finding> {
    match (Series::of(size).map(|series| series.lifecycle(question.day)), size.standing) {
        (Some(Lifecycle::Retired { since, successor }), _) => Some(Finding::Retired { since: Some(since), successor }),
        (Some(Lifecycle::Retires { on, successor }), _) => Some(Finding::Retiring { on, successor }),
        // It was gone at the end of 2024; since when isn't known, so of earlier years nothing is said.
        (_, Standing::Gone) if question.day.year() > 2024 => Some(Finding::Retired { since: None, successor: None }),
        _ => None,
    }
}

fn restricted(question: &Question<'_>, size: &Size) -> Option<Finding> {
    let how = Series::of(size)?.how_to_ask().filter(|_| question.family_limit.is_none_or(|limit| limit == 0));
    how.map(|how| Finding::Restricted { how })
}

fn alike(size: &str, offers: Option<&[Offer]>) -> Vec<String> {
    let names: Vec<&str> = match offers {
        Some(offers) => nearest(size, offers.iter().map(|offer| offer.name.as_str()), 3),
        None => super::near(size),
    };
    names.into_iter().map(str::to_owned).collect()
}

impl Verdict {
    /// Whether the size can be had; `None` where that isn't known.
    pub fn available(&self) -> Option<bool> {
        match (&self.finding, self.severity) {
            (_, Severity::Refuse) => Some(false),
            (Finding::Available | Finding::Retiring { .. } | Finding::Restricted { .. }, _) => Some(true),
            _ => None,
        }
    }

    /// What is wrong and what to do, in one line.
    pub fn message(&self) -> String {
        let Self { size, region, for_use, finding, .. } = self;
        let for_use = for_use.words();
        match finding {
            Finding::Available => format!("{region} offers the VM size {size}"),
            Finding::Retiring { on, successor } => {
                format!("Azure retires the VM size {size} on {on}: move to {} before", instead(*successor))
            }
            Finding::Restricted { how } => format!("the VM size {size} is restricted: {how}"),
            Finding::Unknown { action: Some(action) } => format!(
                "whether {region} offers the VM size {size} isn't known: grant {action} on the subscription to have it \
                 checked before anything is created"
            ),
            Finding::Unknown { action: None } => {
                format!("whether {region} offers the VM size {size} isn't known: its list couldn't be read yet")
            }
            Finding::NotASize { nearest } if nearest.is_empty() => {
                format!("there is no VM size {size} that is known: correct spec.vmSize")
            }
            Finding::NotASize { nearest } => {
                format!("there is no VM size {size} that is known: did you mean {}?", listed(nearest, "or"))
            }
            Finding::NotInRegion { regions, nearest } => {
                let near = match nearest.as_slice() {
                    [] => "another size".to_owned(),
                    near => format!("another size (the nearest: {})", near.join(", ")),
                };
                // An instance lives where its workspace does.
                let there = match regions.as_slice() {
                    [] => format!("choose {near}"),
                    more if self.for_use == Use::Instance => {
                        format!("{} would; choose {near}", listed(more, "and"))
                    }
                    [one] => format!("{one} does; choose that region or {near}"),
                    more => format!("{} do; choose one of those regions or {near}", listed(more, "and")),
                };
                format!("{region} doesn't offer the VM size {size} to this subscription: {there}")
            }
            Finding::NotLowPriority { why } => {
                format!(
                    "the VM size {size} can't be had at low priority ({why}): set spec.vmPriority to Dedicated or choose another size"
                )
            }
            Finding::NotForUse { why } => {
                format!("the VM size {size} isn't for {for_use} ({why}): choose another size")
            }
            Finding::Retired { since, successor } => {
                let since = since.map_or_else(|| "by the end of 2024".to_owned(), |day| format!("on {day}"));
                let listed = match self.severity {
                    Severity::Refuse => "",
                    _ => ", though the region may still list it",
                };
                format!("Azure retired the VM size {size} {since}{listed}: use {}", instead(*successor))
            }
        }
    }
}

fn instead(successor: Option<&str>) -> String {
    successor.map_or_else(|| "a size that is current".to_owned(), |name| format!("the series {name}"))
}

#[cfg(test)]
mod tests;
