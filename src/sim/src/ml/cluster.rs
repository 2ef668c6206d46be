//! Cores: what a cluster may have, and the errors in the service's words when it may not.

use super::{canonical::Shape, ctx::Settings, sizes::short_family};
use crate::{
    scope,
    state::{Compute, InstanceState, Node, NodeState, State},
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

/// Nodes that a compute holds. An instance holds its one from its creation to its end, stopped or not.
fn held(compute: &Compute) -> i64 {
    match &compute.instance {
        Some(instance) => i64::from(instance.state != InstanceState::CreateFailed && instance.doomed.is_null()),
        None => compute.fleet.nodes.iter().filter(|n| counts(n)).count() as i64,
    }
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
    let held = held(compute);
    if held == 0 {
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
    if concerned { held * size.vcpus } else { 0 }
}

/// Computes that a subscription has in a region.
pub fn computes_in(state: &State, sub: &str, region: &str) -> i64 {
    let root = format!("/subscriptions/{}", sub.to_ascii_lowercase());
    scope::under(&state.computes, &root).filter(|(_, c)| c.body["properties"]["computeLocation"] == region).count()
        as i64
}

/// What the workspace of the compute `id` (key) may use of a family, where it is capped.
fn cap(state: &State, id: &str, family: &str) -> Option<i64> {
    state.caps.get(scope::up(id, 2))?.get(&family.to_ascii_lowercase()).copied()
}

/// The key under which a size is retired.
pub fn size_key(region: &str, size: &str) -> String {
    format!("{region}/{size}").to_ascii_lowercase()
}

/// Whether the region gives machines of this size, with this priority.
fn creatable(state: &State, shape: &Shape, size: &Size) -> bool {
    size.clusters
        && (size.low_priority || !shape.low_priority)
        && !state.retired.contains(&size_key(&shape.region, &size.name))
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
        if let Some(cap) = cap(state, id, &size.family) {
            free = free.min(cap - used(Pool::Workspace(workspace, &size.family)));
        }
    }
    (free / size.vcpus.max(1)).max(0)
}

/// Why a cluster of this shape can't be, as an item of `provisioningErrors`: its size, or a quota that is too small for
/// max(1, min) nodes.
pub fn unfit(settings: &Settings, state: &State, id: &str, shape: &Shape) -> Option<Value> {
    let size = settings.size(&shape.region, &shape.size).filter(|s| creatable(state, shape, s));
    let Some(size) = size else { return Some(bad_size(settings, state, shape)) };
    let quota = state.quotas.get(&format!("{}/{}", scope::subscription(id), shape.region))?;
    let nodes = shape.min.max(1);
    let cores = nodes * size.vcpus;
    let family = format!("Standard {} family vCPU", short_family(&size.family));
    let cap = cap(state, id, &size.family).map(|cap| ("workspace", family.clone(), cap));
    let limits = match shape.low_priority {
        true => vec![("subscription", "total vCPU".to_string(), quota.low_priority)],
        false => {
            let all = quota.dedicated.map(|all| ("subscription", "total vCPU".to_string(), all));
            [("subscription", family, quota.family(&size.family))].into_iter().chain(all).chain(cap).collect()
        }
    };
    let (whose, what, limit) = limits.into_iter().find(|(_, _, limit)| cores > *limit)?;
    Some(json!({"error": {
        "code": "ClusterMinNodesExceedCoreQuota",
        "message": format!(
            "The specified {whose} has a {what} quota of {limit} and cannot accomodate for at least {nodes} requested \
             managed compute nodes which maps to {cores} vCPUs."
        ),
        "target": null, "details": [], "additionalInfo": [],
    }}))
}

/// Why there is no room for one more node of this shape, as an item of `provisioningErrors`.
pub fn no_room(settings: &Settings, state: &State, id: &str, shape: &Shape) -> Option<Value> {
    let size = settings.size(&shape.region, &shape.size)?;
    (room(settings, state, id, shape) < 1).then(|| {
        json!({"error": {
            "code": "ClusterCoreQuotaReached",
            "message": format!(
                "Operation results in exceeding quota limits of Core. One more machine of size {} ({} vCPUs) is wanted.",
                shape.size, size.vcpus
            ),
            "target": null, "details": [], "additionalInfo": [],
        }})
    })
}

fn bad_size(settings: &Settings, state: &State, shape: &Shape) -> Value {
    let creatable = |s: &&Size| creatable(state, shape, s);
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

/// What a cluster says that has unusable nodes.
pub fn spoilt(nodes: usize) -> Value {
    json!([{"error": {
        "code": "UnusableNodes",
        "message": format!("{nodes} nodes are unusable."),
        "target": null, "details": [], "additionalInfo": [],
    }}])
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
