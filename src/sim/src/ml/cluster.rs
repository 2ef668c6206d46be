//! Cores: what a cluster may have, and the errors in the service's words when it may not.

use super::{canonical::Shape, ctx::Settings, sizes::short_family};
use crate::{
    scope,
    state::{Compute, Node, NodeState, State},
    world::Size,
};
use serde_json::{Value, json};

/// Which cores to count.
#[derive(Clone, Copy)]
pub enum Pool<'a> {
    /// Dedicated cores of a family.
    Family(&'a str),
    /// Dedicated cores of a family in one workspace (its key).
    Workspace(&'a str, &'a str),
    /// All dedicated cores.
    Dedicated,
    /// All low-priority cores.
    LowPriority,
}

/// A node that counts against quota: wanted ones do, lost ones don't.
pub fn counts(node: &Node) -> bool {
    node.state != NodeState::Preempted
}

/// Cores in use in `sub` (key) and `region`.
pub fn cores(settings: &Settings, state: &State, sub: &str, region: &str, pool: Pool<'_>) -> i64 {
    let root = match pool {
        Pool::Workspace(workspace, _) => workspace.to_string(),
        _ => format!("/subscriptions/{}", sub.to_ascii_lowercase()),
    };
    scope::under(&state.computes, &root).map(|(_, c)| cores_of(settings, c, region, pool)).sum()
}

fn cores_of(settings: &Settings, compute: &Compute, region: &str, pool: Pool<'_>) -> i64 {
    if compute.fleet.nodes.is_empty() {
        return 0;
    }
    let shape = compute.shape();
    let Some(size) = settings.size(&shape.region, &shape.size).filter(|_| shape.region == region) else { return 0 };
    let concerned = match pool {
        Pool::LowPriority => shape.low_priority,
        Pool::Dedicated => !shape.low_priority,
        Pool::Family(family) | Pool::Workspace(_, family) => {
            !shape.low_priority && size.family.eq_ignore_ascii_case(family)
        }
    };
    if concerned { compute.fleet.nodes.iter().filter(|n| counts(n)).count() as i64 * size.vcpus } else { 0 }
}

/// Computes that a subscription has in a region.
pub fn computes_in(state: &State, sub: &str, region: &str) -> i64 {
    let root = format!("/subscriptions/{}", sub.to_ascii_lowercase());
    scope::under(&state.computes, &root).filter(|(_, c)| c.body["properties"]["computeLocation"] == region).count()
        as i64
}

/// Nodes of `shape` for which there is still room, for the cluster `id` (key).
pub fn room(settings: &Settings, state: &State, id: &str, shape: &Shape) -> i64 {
    let sub = scope::subscription(id);
    let (Some(size), Some(quota)) =
        (settings.size(&shape.region, &shape.size), state.quotas.get(&format!("{sub}/{}", shape.region)))
    else {
        return 0;
    };
    let used = |pool| cores(settings, state, sub, &shape.region, pool);
    let mut free = if shape.low_priority {
        quota.low_priority - used(Pool::LowPriority)
    } else {
        quota.family(&size.family) - used(Pool::Family(&size.family))
    };
    if !shape.low_priority {
        if let Some(all) = quota.dedicated {
            free = free.min(all - used(Pool::Dedicated));
        }
        let workspace = scope::up(id, 2);
        let caps = state.caps.get(workspace);
        if let Some(cap) = caps.and_then(|c| c.get(&size.family.to_ascii_lowercase())) {
            free = free.min(cap - used(Pool::Workspace(workspace, &size.family)));
        }
    }
    (free / size.vcpus.max(1)).max(0)
}

/// Why a cluster of this shape can't be, as an item of `provisioningErrors`: its size, or a quota that is too small for
/// max(1, min) nodes.
pub fn unfit(settings: &Settings, state: &State, id: &str, shape: &Shape) -> Option<Value> {
    let Some(size) = settings.size(&shape.region, &shape.size).filter(|s| s.clusters) else {
        return Some(bad_size(settings, shape));
    };
    if shape.low_priority && !size.low_priority {
        return Some(bad_size(settings, shape));
    }
    let quota = state.quotas.get(&format!("{}/{}", scope::subscription(id), shape.region))?;
    let nodes = shape.min.max(1);
    let cores = nodes * size.vcpus;
    let (limit, what) = if shape.low_priority {
        (quota.low_priority, "total vCPU".to_string())
    } else {
        (quota.family(&size.family), format!("Standard {} family vCPU", short_family(&size.family)))
    };
    (cores > limit).then(|| {
        json!({"error": {
            "code": "ClusterMinNodesExceedCoreQuota",
            "message": format!(
                "The specified subscription has a {what} quota of {limit} and cannot accomodate for at least {nodes} \
                 requested managed compute nodes which maps to {cores} vCPUs."
            ),
            "target": null, "details": [], "additionalInfo": [],
        }})
    })
}

fn bad_size(settings: &Settings, shape: &Shape) -> Value {
    let creatable = |s: &&Size| s.clusters && (s.low_priority || !shape.low_priority);
    let supported: Vec<String> = settings
        .sizes(&shape.region)
        .map(|sizes| sizes.values().filter(creatable).map(|s| s.name.to_ascii_uppercase()).collect())
        .unwrap_or_default();
    json!({"error": {
        "code": "InvalidPropertyValue",
        "message": format!(
            "The specified value {} for property Cluster.Properties.VMSize is not a supported VM size. See additional \
             details for supported VM sizes.",
            shape.size
        ),
        "details": [{"code": "SupportedVMSizes", "message": supported.join(",")}],
    }})
}

/// What a cluster says that wants nodes for which there is no quota.
pub fn starved(settings: &Settings, shape: &Shape, missing: i64) -> Value {
    let vcpus = settings.size(&shape.region, &shape.size).map_or(0, |s| s.vcpus);
    json!([{"error": {
        "code": "ClusterCoreQuotaReached",
        "message": format!(
            "Operation results in exceeding quota limits of Core. {missing} more nodes of size {} ({} vCPUs) are wanted.",
            shape.size,
            missing * vcpus
        ),
        "target": null, "details": [], "additionalInfo": [],
    }}])
}
