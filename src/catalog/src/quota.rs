//! Whether there is room: what a compute needs, beside the limits that Azure tells.
//!
//! Sources: "Manage and increase quotas and limits for resources with Azure Machine Learning" (read 2026-11); the error
//! ClusterMinNodesExceedCoreQuota as recorded. Low-priority cores are one pool over all families; a workspace's cap and the
//! family's quota hold for dedicated ones. What exists already is counted in Azure's usage, so only the difference counts.

use std::cmp::Reverse;

use crate::series::{ASK_FOR_QUOTA, Series};
use crate::{Priority, Severity, Use};

/// Computes that a subscription may have in a region where Azure says nothing else: clusters, instances and managed online
/// deployments together.
pub const COMPUTES_PER_REGION: u64 = 500;

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand<'a> {
    /// The region, for words.
    pub region: &'a str,
    /// The size's quota family.
    pub family: &'a str,
    /// Cores of a node.
    pub cores: u32,
    /// A cluster or an instance.
    pub for_use: Use,
    /// Fewest nodes; an instance is one.
    pub min: u32,
    /// Most nodes; an instance is one.
    pub max: u32,
    /// Whether Azure counts it already.
    pub counted: Counted,
}

/// Whether Azure counts a compute already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// It doesn't exist.
    No,
    /// It exists, with these nodes.
    Nodes(u32),
}

/// What is known of a limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Limit {
    /// There is none (Azure says -1, or doesn't list it).
    #[default]
    None,
    /// Azure told it.
    Known {
        /// What counts against it now.
        used: u64,
        /// How much may.
        limit: u64,
    },
    /// It may not be read for want of this action, or hasn't been (`None`).
    Unknown(Option<String>),
}

impl Limit {
    /// From an item of `usages`: a limit below zero is none.
    pub fn of(used: i64, limit: i64) -> Self {
        match u64::try_from(limit) {
            Ok(limit) => Self::Known { used: u64::try_from(used).unwrap_or(0), limit },
            Err(_) => Self::None,
        }
    }
}

/// What is known of the limits that a compute meets. Those that don't concern it are not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Cores of the family that the workspace may have, where it has a cap.
    pub workspace: Limit,
    /// Dedicated cores of the family in the region.
    pub family: Limit,
    /// Dedicated cores of all families in the region.
    pub region: Limit,
    /// Low-priority cores in the region.
    pub low_priority: Limit,
    /// Computes in the region.
    pub computes: Limit,
}

/// Which limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pool {
    /// The workspace's cap for the family.
    Workspace,
    /// The family's quota in the region.
    Family,
    /// Dedicated cores in the region.
    Region,
    /// Low-priority cores in the region.
    LowPriority,
    /// Computes in the region.
    Computes,
}

/// How far a limit is from what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gap {
    /// The most nodes don't fit beside what is in use.
    Most,
    /// Not even the fewest do, or none at all.
    Fewest,
    /// They are more than the limit, even with nothing else in use: Azure refuses them.
    Limit,
}

/// A limit that is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Short {
    /// Which one.
    pub pool: Pool,
    /// How far.
    pub gap: Gap,
    /// Cores (or computes) that are wanted beyond those counted already; all of them for [`Gap::Limit`].
    pub wanted: u64,
    /// Nodes that these are; 0 for computes.
    pub nodes: u32,
    /// What counts against it now.
    pub used: u64,
    /// How much may.
    pub limit: u64,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Limits that are in the way, the worst first.
    pub short: Vec<Short>,
    /// Limits that aren't known, and the action that is missing.
    pub unknown: Vec<(Pool, Option<String>)>,
    /// What follows.
    pub severity: Severity,
    region: String,
    family: String,
    for_use: Use,
}

/// Compares what is wanted with the limits.
pub fn check(demand: &Demand<'_>, limits: &Limits) -> Verdict {
    let pools: &[(Pool, &Limit)] = match demand.for_use {
        Use::Cluster(Priority::Low) => &[(Pool::LowPriority, &limits.low_priority), (Pool::Computes, &limits.computes)],
        Use::Cluster(Priority::Dedicated) | Use::Instance => &[
            (Pool::Workspace, &limits.workspace),
            (Pool::Family, &limits.family),
            (Pool::Region, &limits.region),
            (Pool::Computes, &limits.computes),
        ],
    };
    let mut short: Vec<Short> = Vec::new();
    let mut unknown = Vec::new();
    for (pool, limit) in pools {
        match limit {
            Limit::None => {}
            Limit::Known { used, limit } => short.extend(demand.short(*pool, *used, *limit)),
            Limit::Unknown(action) => unknown.push((*pool, action.clone())),
        }
    }
    short.sort_by_key(|short| Reverse(short.gap));
    let worst = short.first().map(Short::severity);
    let doubt = if unknown.is_empty() { Severity::Fine } else { Severity::Warn };
    Verdict {
        short,
        unknown,
        severity: worst.unwrap_or(Severity::Fine).max(doubt),
        region: demand.region.to_owned(),
        family: demand.family.to_owned(),
        for_use: demand.for_use,
    }
}

impl Demand<'_> {
    fn cores_of(&self, nodes: u32) -> u64 {
        u64::from(nodes) * u64::from(self.cores)
    }

    fn short(&self, pool: Pool, used: u64, limit: u64) -> Option<Short> {
        let free = limit.saturating_sub(used);
        if pool == Pool::Computes {
            let new = self.counted == Counted::No;
            return (new && free == 0).then_some(Short { pool, gap: Gap::Fewest, wanted: 1, nodes: 0, used, limit });
        }
        let counted = match self.counted {
            Counted::No => 0,
            Counted::Nodes(nodes) => nodes,
        };
        // Azure wants room for one node even where the fewest are none.
        let fewest = self.min.max(1);
        let (few, most) = (fewest.saturating_sub(counted), self.max.max(self.min).saturating_sub(counted));
        let found = |gap, nodes| Some(Short { pool, gap, wanted: self.cores_of(nodes), nodes, used, limit });
        if self.cores_of(fewest) > limit {
            found(Gap::Limit, fewest)
        } else if self.cores_of(few) > free {
            found(Gap::Fewest, few)
        } else if self.cores_of(most) > free {
            found(Gap::Most, most)
        } else {
            None
        }
    }
}

impl Short {
    /// What follows. Azure refuses what is beyond a family's or the low-priority limit, whatever is in use (recorded);
    /// of the others that is likely. What is in use may be less by the time that it matters.
    pub fn severity(&self) -> Severity {
        match (self.gap, self.pool) {
            (Gap::Limit, Pool::Family | Pool::LowPriority) => Severity::Refuse,
            _ => Severity::Warn,
        }
    }

    fn words(&self, region: &str, family: &str) -> String {
        let Self { pool, gap, wanted, nodes, used, limit } = self;
        let what = match pool {
            Pool::Workspace => format!("the workspace's cap for {family}"),
            Pool::Family => format!("the quota of {family} in {region}"),
            Pool::Region => format!("the quota of dedicated cores in {region}"),
            Pool::LowPriority => format!("the quota of low-priority cores in {region}"),
            Pool::Computes => {
                return format!("{region} has {used} of {limit} computes, so there is no room for one more");
            }
        };
        let needs = |more: &str| match nodes {
            1 => format!("1 {more}node needs {wanted} cores"),
            _ => format!("{nodes} {more}nodes need {wanted} cores"),
        };
        let free = limit.saturating_sub(*used);
        match gap {
            Gap::Limit => format!("{}, and {what} is {limit}", needs("")),
            Gap::Fewest => format!("{}, and {what} has {free} of {limit} left ({used} in use)", needs("more ")),
            Gap::Most => format!(
                "up to {}, and {what} has {free} of {limit} left ({used} in use): it can't grow to the most nodes now",
                needs("more ")
            ),
        }
    }

    fn remedy(&self, for_use: Use) -> &'static str {
        match (self.pool, self.gap) {
            (Pool::Computes, _) => "delete one, use another region",
            (_, Gap::Most) if for_use != Use::Instance => "lower spec.scale.maxNodes, free some",
            // One node is the least there is, and with nothing else in use it still doesn't fit.
            (_, Gap::Limit) if self.nodes == 1 => "choose a smaller size",
            (_, Gap::Limit) => "lower spec.scale.minNodes, choose a smaller size",
            _ if self.nodes == 1 => "choose a smaller size, free some",
            _ => "lower spec.scale.minNodes, choose a smaller size, free some",
        }
    }
}

impl Verdict {
    /// Whether there is room for all that is wanted; `None` where a limit isn't known and no other is in the way.
    pub fn available(&self) -> Option<bool> {
        match (self.short.is_empty(), self.unknown.is_empty()) {
            (false, _) => Some(false),
            (true, true) => Some(true),
            (true, false) => None,
        }
    }

    /// What is wrong and what to do, in one line.
    pub fn message(&self) -> String {
        let Self { region, family, for_use, .. } = self;
        if let Some(worst) = self.short.first() {
            let all: Vec<String> = self.short.iter().map(|short| short.words(region, family)).collect();
            let ask = match worst.pool {
                Pool::Workspace => "raise spec.quotas of the Workspace".to_owned(),
                _ => match Series::of_family(family).and_then(Series::how_to_ask) {
                    Some(how) if worst.pool == Pool::Family && worst.limit == 0 => how,
                    _ => format!("ask for more: {ASK_FOR_QUOTA}"),
                },
            };
            return format!("{}; {}, or {ask}", all.join("; "), worst.remedy(*for_use));
        }
        let actions: std::collections::BTreeSet<&str> =
            self.unknown.iter().filter_map(|(_, action)| action.as_deref()).collect();
        let actions: Vec<&str> = actions.into_iter().collect();
        match (self.unknown.is_empty(), actions.is_empty()) {
            (true, _) => format!("the quotas of {region} have room"),
            (false, true) => format!("whether {region} has room isn't known: its quotas couldn't be read yet"),
            (false, false) => format!(
                "whether {region} has room isn't known: grant {} on the subscription to have it checked before anything \
                 is created",
                crate::listed(&actions, "and")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEMAND: Demand<'_> = Demand {
        region: "westeurope",
        family: "standardDSv2Family",
        cores: 4,
        for_use: Use::Cluster(Priority::Dedicated),
        min: 0,
        max: 4,
        counted: Counted::No,
    };

    fn known(used: u64, limit: u64) -> Limit {
        Limit::Known { used, limit }
    }

    #[test]
    fn family() {
        use Severity::{Fine, Refuse, Warn};
        let nodes = Counted::Nodes;
        for (used, limit, min, max, counted, severity, gap) in [
            (0, 16, 0, 4, Counted::No, Fine, None),
            (0, 15, 0, 4, Counted::No, Warn, Some((Gap::Most, 16))),
            (12, 16, 0, 4, Counted::No, Warn, Some((Gap::Most, 16))),
            (13, 16, 0, 4, Counted::No, Warn, Some((Gap::Fewest, 4))),
            (16, 16, 2, 4, Counted::No, Warn, Some((Gap::Fewest, 8))),
            // Room for one node is wanted, whatever the fewest are.
            (0, 3, 0, 4, Counted::No, Refuse, Some((Gap::Limit, 4))),
            (0, 0, 0, 0, Counted::No, Refuse, Some((Gap::Limit, 4))),
            (0, 11, 3, 4, Counted::No, Refuse, Some((Gap::Limit, 12))),
            // What exists is in use already: only the difference counts.
            (16, 16, 0, 4, nodes(4), Fine, None),
            (16, 16, 4, 4, nodes(4), Fine, None),
            (12, 16, 4, 4, nodes(3), Fine, None),
            (12, 16, 4, 6, nodes(3), Warn, Some((Gap::Most, 12))),
            (16, 16, 4, 4, nodes(3), Warn, Some((Gap::Fewest, 4))),
            // The quota shrank under it: more is in use than may be.
            (16, 12, 0, 4, nodes(4), Fine, None),
            (16, 12, 0, 4, nodes(2), Warn, Some((Gap::Most, 8))),
            (16, 12, 4, 4, nodes(4), Refuse, Some((Gap::Limit, 16))),
        ] {
            let demand = Demand { min, max, counted, ..DEMAND };
            let verdict = check(&demand, &Limits { family: known(used, limit), ..Limits::default() });
            let found = verdict.short.first().map(|short| (short.gap, short.wanted));
            assert_eq!((verdict.severity, found), (severity, gap), "{used} of {limit}, {demand:?}");
            assert_eq!(verdict.available(), Some(gap.is_none()));
        }
    }

    #[test]
    fn which_limits_concern_it() {
        let full = |pool: Pool| {
            let of = |one: Pool| if one == pool { known(7, 7) } else { Limit::None };
            Limits {
                workspace: of(Pool::Workspace),
                family: of(Pool::Family),
                region: of(Pool::Region),
                low_priority: of(Pool::LowPriority),
                computes: of(Pool::Computes),
            }
        };
        for (pool, dedicated, low) in [
            (Pool::Workspace, true, false),
            (Pool::Family, true, false),
            (Pool::Region, true, false),
            (Pool::LowPriority, false, true),
            (Pool::Computes, true, true),
        ] {
            for (for_use, concerned) in [
                (Use::Cluster(Priority::Dedicated), dedicated),
                (Use::Instance, dedicated),
                (Use::Cluster(Priority::Low), low),
            ] {
                let verdict = check(&Demand { for_use, ..DEMAND }, &full(pool));
                let found: Vec<Pool> = verdict.short.iter().map(|short| short.pool).collect();
                assert_eq!(found, if concerned { vec![pool] } else { vec![] }, "{for_use:?}");
            }
        }
        // A compute that exists takes no place of another.
        let verdict = check(&Demand { counted: Counted::Nodes(0), ..DEMAND }, &full(Pool::Computes));
        assert_eq!(verdict.severity, Severity::Fine);
    }

    #[test]
    fn what_is_said() {
        let ask =
            "https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas#request-quota-and-limit-increases";
        let action = "Microsoft.MachineLearningServices/locations/usages/read";
        let restricted = Demand { family: "standardNDSv2Family", cores: 40, max: 1, ..DEMAND };
        for (demand, limits, expected) in [
            (DEMAND, Limits::default(), "the quotas of westeurope have room".to_owned()),
            (
                DEMAND,
                Limits { family: known(12, 24), ..Limits::default() },
                format!(
                    "up to 4 more nodes need 16 cores, and the quota of standardDSv2Family in westeurope has 12 of 24 \
                     left (12 in use): it can't grow to the most nodes now; lower spec.scale.maxNodes, free some, or ask \
                     for more: {ask}"
                ),
            ),
            (
                Demand { min: 1, ..DEMAND },
                Limits { region: known(30, 32), ..Limits::default() },
                format!(
                    "1 more node needs 4 cores, and the quota of dedicated cores in westeurope has 2 of 32 left (30 in \
                     use); choose a smaller size, free some, or ask for more: {ask}"
                ),
            ),
            (
                Demand { min: 1, max: 1, for_use: Use::Instance, ..DEMAND },
                Limits { workspace: known(8, 8), family: known(100, 102), ..Limits::default() },
                "1 more node needs 4 cores, and the workspace's cap for standardDSv2Family has 0 of 8 left (8 in use); 1 \
                 more node needs 4 cores, and the quota of standardDSv2Family in westeurope has 2 of 102 left (100 in \
                 use); choose a smaller size, free some, or raise spec.quotas of the Workspace"
                    .to_owned(),
            ),
            (
                Demand { for_use: Use::Cluster(Priority::Low), ..DEMAND },
                Limits { low_priority: known(0, 2), ..Limits::default() },
                format!(
                    "1 node needs 4 cores, and the quota of low-priority cores in westeurope is 2; choose \
                     a smaller size, or ask for more: {ask}"
                ),
            ),
            (
                restricted,
                Limits { family: known(0, 0), ..Limits::default() },
                format!(
                    "1 node needs 40 cores, and the quota of standardNDSv2Family in westeurope is 0; choose \
                     a smaller size, or ask for quota with a support request (subscriptions start with none of \
                     standardNDSv2Family): {ask}"
                ),
            ),
            (
                DEMAND,
                Limits { computes: known(500, COMPUTES_PER_REGION), ..Limits::default() },
                format!(
                    "westeurope has 500 of 500 computes, so there is no room for one more; delete one, use another \
                     region, or ask for more: {ask}"
                ),
            ),
            (
                DEMAND,
                Limits {
                    family: Limit::Unknown(Some(action.into())),
                    region: Limit::Unknown(Some(action.into())),
                    ..Limits::default()
                },
                format!(
                    "whether westeurope has room isn't known: grant {action} on the subscription to have it checked \
                     before anything is created"
                ),
            ),
            (
                DEMAND,
                Limits { family: Limit::Unknown(None), ..Limits::default() },
                "whether westeurope has room isn't known: its quotas couldn't be read yet".to_owned(),
            ),
        ] {
            assert_eq!(check(&demand, &limits).message(), expected);
        }
    }

    #[test]
    fn what_is_unknown_hides_nothing() {
        let unknown = Limits { family: Limit::Unknown(None), ..Limits::default() };
        let verdict = check(&DEMAND, &unknown);
        assert_eq!((verdict.available(), verdict.severity), (None, Severity::Warn));
        let short = Limits { region: known(9, 9), ..unknown };
        assert_eq!(check(&DEMAND, &short).available(), Some(false));
    }

    #[test]
    fn limits_of_usages() {
        for (used, limit, expected) in
            [(3, 24, known(3, 24)), (0, 0, known(0, 0)), (3, -1, Limit::None), (-1, 24, known(0, 24))]
        {
            assert_eq!(Limit::of(used, limit), expected);
        }
    }
}
